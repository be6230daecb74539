"""Access to the machine and the installation: devices and memory, files, optional packages, HTML pages."""
