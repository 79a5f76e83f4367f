"""What writing through slipway costs, measured beside other ways of writing the same rows in the same run."""
