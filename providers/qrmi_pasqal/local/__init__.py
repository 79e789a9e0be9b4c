"""An on-premises QPU of Pasqal's behind the Warden middleware: resource type ``pasqal-local``."""
