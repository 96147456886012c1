"""Set-up of the repository's environment, and checks of installations. Not part of the package."""
