"""Notes for the tenants of a Tenantry control plane."""
