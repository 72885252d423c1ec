"""What a process or a machine keeps of the data files of tables, so as not to read it again."""
