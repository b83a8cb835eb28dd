"""Other toolkits, each behind one adapter: it imports what the user's checkout or package has."""
