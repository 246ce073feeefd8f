"""What tests share: servers, clients, pictures and numbers."""
