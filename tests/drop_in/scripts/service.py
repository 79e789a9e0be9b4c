"""The job's resources by `QRMIService`, and an account's devices by `ResourceProvider`."""

import json
import sys

from dotenv import load_dotenv

from qrmi import Config, QRMIService, QuantumResource, ResourceProvider

load_dotenv()
service = QRMIService()
resources = service.resources()
if len(resources) == 0:
    raise ValueError("No quantum resource is available.")
said = {
    "resources": [f"id={r.resource_id()} type={r.resource_type()!s}" for r in resources],
    "same": service.resource(resources[0].resource_id()) is not None,
    "other": service.resource("other"),
}
config = Config.load("qrmi_config.json")
definition = config.resource_map[resources[0].resource_id()]
said["definition"] = [definition.name, str(definition.resource_type), definition.is_dynamic]
handle = QuantumResource.from_config(
    definition.name, definition.resource_type, dict(definition.environment)
)
said["metadata"] = handle.metadata()

if "--provider" in sys.argv:
    account = config.resource_map["account"]
    provider = ResourceProvider(account.resource_type, account.environment)
    said["devices"] = {
        text: sorted(d.resource_id() for d in provider.resources(text or None))
        for text in (
            "",
            "num_qubits=6",
            "name=test_h*",
            "is_simulator=true",
            "status=online",
            " num_qubits = 3 & & name = test_* ",
        )
    }
    least = provider.least_busy("status=online")
    said["least_busy"] = least.resource_id()
    said["none"] = provider.least_busy("num_qubits=1000")
print(json.dumps(said))
