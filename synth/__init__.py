"""Everything that makes pictures. It takes a detector as an argument and never imports one."""
