"""What a variant loses against the recording, beside what FP32 itself loses."""
