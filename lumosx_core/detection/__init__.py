"""Eyes: faces and masks in pictures, and how what they find is cut out."""
