"""What the workbench does, a function per step; `import vampbench` has the main ones."""
