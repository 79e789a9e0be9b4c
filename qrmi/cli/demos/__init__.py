"""The programs of ``qrmi demo``: one a SDK, each as a user of that SDK would write it."""
