"""`freshline rollout`: a second view is built beside the serving one, judged, and switched to."""
