"""What writing through slipway costs, compared with other ways of writing the same rows in the same run."""
