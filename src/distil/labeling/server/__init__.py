"""The server of ``distil label``: a page on which people label the items of a project. Nothing here imports torch."""
