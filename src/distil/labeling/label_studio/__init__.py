"""A project of distil and a project of Label Studio that people label it in."""
