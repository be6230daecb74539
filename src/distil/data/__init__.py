"""The data of users (arrays, files, images, tables, data frames) and their ids."""
