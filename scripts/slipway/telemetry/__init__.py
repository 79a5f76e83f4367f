"""Telemetry: traces and metrics of runs, for the tools with which operators watch everything else.

Start in ``export``: it sends what ``measurements`` reads out of a run's records over OTLP, and writes it as a text file for Prometheus.
"""
