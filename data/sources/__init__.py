"""From what a user names (a folder, an archive, a list, a URL) to items, one by one."""
