"""The release API of ServiceStage v3, read as it is: one method an endpoint, every status with its course."""
