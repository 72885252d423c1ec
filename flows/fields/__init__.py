"""What the fields of the settings carry beside their types, and how a value is refused."""
