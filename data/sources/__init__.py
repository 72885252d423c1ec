"""Sources named by the user (folders, archives, lists, URLs), listed as items one by one."""
