"""What users have: arrays, files, images, tables, data frames; and their ids."""
