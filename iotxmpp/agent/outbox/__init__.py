"""Readings that wait until the collector has them: on disk, bounded, and in memory where the disk fails."""
