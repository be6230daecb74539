"""The utilities of the DISTIL document, under the module paths it gives them."""
