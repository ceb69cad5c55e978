"""The gRPC side: translate, call one use case, translate back."""
