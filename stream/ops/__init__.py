"""The page `/ops`: one document, made of the files beside this one."""
