"""What contributors and continuous integration run. No part of the installed package."""
