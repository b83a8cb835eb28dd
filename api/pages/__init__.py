"""The pages: templates, one style sheet, and a little JavaScript that they can do without."""
