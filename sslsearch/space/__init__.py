"""The question: YAML -> tree -> Recipe; check, explain, JSON schema. No torch, no Ray."""
