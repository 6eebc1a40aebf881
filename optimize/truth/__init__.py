"""Does a variant say, and sound, the same?"""
