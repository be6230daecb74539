"""What the machine and the installation give: devices and memory, files, optional packages."""
