"""Files that people bring, read as samples: folders, archives and tables, looked through first."""
