"""Small changes to a picture that change a detector's mind."""
