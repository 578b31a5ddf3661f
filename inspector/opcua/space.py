"""The nodes of the server: a vision system after the specification, and the strip's own variables."""

import copy
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from asyncua import Node, Server, ua

from inspector.monitoring.client import Status
from inspector.opcua.arguments import expected, refusal

MACHINE_VISION: Final = "http://opcfoundation.org/UA/MachineVision"
OWN: Final = "urn:strip-inspector"

_NODE_SET: Final = Path(__file__).parent / "nodesets" / "Opc.Ua.MachineVision.NodeSet2.xml"

_SYSTEM_TYPE: Final = 1003
_BINARY_ID: Final = 3019
_BINARY_IDS: Final = (3002, 3008, 3013)
"""BinaryIdBaseDataType; ids of external recipes, configurations and internal recipes."""

RESULT_READY: Final = 1024
STATE_CHANGED: Final = 1018
RECIPE_PREPARED: Final = 1022
FAULT, FAULT_OVER = 1019, 1020
"""ErrorEventType, ErrorResolvedEventType."""

MACHINE_TYPE: Final = 1017
"""VisionStateMachineType."""

STATES: Final = {"Preoperational": 5028, "Halted": 5029, "Error": 5030, "Operational": 5031}
AUTOMATIC_STATES: Final = {
    "Initialized": 5056,
    "Ready": 5057,
    "SingleExecution": 5058,
    "ContinuousExecution": 5059,
}
"""Nodes of the states in the types."""

_LEFT_OUT: Final = (
    "ConfigurationManagement/AddConfiguration",
    "ConfigurationManagement/Configurations",
    "ConfigurationManagement/ConfigurationTransfer",
    "ConfigurationManagement/ReleaseConfigurationHandle",
    "ConfigurationManagement/RemoveConfiguration",
    "RecipeManagement/AddRecipe",
    "RecipeManagement/PrepareProduct",
    "RecipeManagement/Products",
    "RecipeManagement/Recipes",
    "RecipeManagement/RecipeTransfer",
    "RecipeManagement/ReleaseRecipeHandle",
    "RecipeManagement/RemoveRecipe",
    "RecipeManagement/UnlinkProduct",
    "RecipeManagement/UnprepareProduct",
    "ResultManagement/ReleaseResultHandle",
    "ResultManagement/Results",
    "ResultManagement/ResultTransfer",
    "SafetyStateManagement",
    "DiagnosticLevel",
    "SystemState",
    "VisionStateMachine/ErrorStepModel",
    "VisionStateMachine/HaltedStepModel",
    "VisionStateMachine/PreoperationalStepModel",
    "VisionStateMachine/ConfirmAll",
    "VisionStateMachine/AutomaticModeStateMachine/ContinuousExecutionStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/InitializedStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/ReadyStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/SimulationMode",
    "VisionStateMachine/AutomaticModeStateMachine/SingleExecutionStepModel",
)
"""Optional parts that this system does not have."""

Method = Callable[..., Awaitable[list[ua.Variant]]]

_OWN_VARIABLES: Final = {
    "Health": ("down", ua.VariantType.String),
    "Findings": ([], ua.VariantType.String),
    "Recipe": ("", ua.VariantType.String),
    "Engine": ("", ua.VariantType.String),
    "Coil": ("", ua.VariantType.String),
    "Plan": ("", ua.VariantType.String),
    "PositionMm": (0.0, ua.VariantType.Double),
    "Captured": (0, ua.VariantType.UInt64),
    "Accepted": (0, ua.VariantType.UInt64),
    "Rejected": (0, ua.VariantType.UInt64),
    "Uninspected": (0, ua.VariantType.UInt64),
    "LastRefusal": ("", ua.VariantType.String),
}
"""Variables of the object `Strip`: first value and type."""


class Space:
    """The nodes, once `make` has run."""

    system: Node
    vision: int
    """Index of the specification's namespace."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._nodes: dict[str, Node] = {}
        self._events: dict[int, list[Any]] = {}

    async def make(self, line: str) -> None:
        """Read the node set and make the objects."""
        server = self._server
        await server.import_xml(str(_NODE_SET))
        self.vision = await server.get_namespace_index(MACHINE_VISION)
        await self._define_ids()
        await server.load_data_type_definitions()
        own = await server.register_namespace(OWN)
        kind = server.get_node(ua.NodeId(_SYSTEM_TYPE, self.vision))
        self.system = await server.nodes.objects.add_object(own, line, kind.nodeid, instantiate_optional=True)
        await server.delete_nodes([await self.node(each) for each in _LEFT_OUT], recursive=True)
        strip = await self.system.add_object(own, "Strip")
        for name, (value, kind_of) in _OWN_VARIABLES.items():
            node = await strip.add_variable(
                own, name, ua.Variant(value, kind_of, is_array=isinstance(value, list))
            )
            self._nodes[name] = node
        for event in (RESULT_READY, STATE_CHANGED, RECIPE_PREPARED, FAULT, FAULT_OVER):
            # Clients subscribe at the system, or at the server object for everything.
            self._events[event] = [
                await server.get_event_generator(ua.NodeId(event, self.vision), emitter)
                for emitter in (self.system, server.nodes.server)
            ]

    async def _define_ids(self) -> None:
        """Give the ids of recipes and configurations the fields of their base.

        The node set leaves a definition out where a type adds no field; clients that read types from the server
        need it.
        """
        server = self._server
        base = ua.NodeId(_BINARY_ID, self.vision)
        fields = await server.get_node(base).read_data_type_definition()
        for number in _BINARY_IDS:
            node = server.get_node(ua.NodeId(number, self.vision))
            encodings = await node.get_references(ua.ObjectIds.HasEncoding, ua.BrowseDirection.Forward)
            binary = next(each.NodeId for each in encodings if each.BrowseName.Name == "Default Binary")
            # The import has made the name another word for its base.
            delattr(ua, (await node.read_browse_name()).Name)
            own = copy.deepcopy(fields)
            own.BaseDataType, own.DefaultEncodingId = base, binary
            await node.write_attribute(
                ua.AttributeIds.DataTypeDefinition,
                ua.DataValue(ua.Variant(own, ua.VariantType.ExtensionObject)),
            )

    async def node(self, path: str) -> Node:
        """A node below the system, by its names in the specification."""
        node = self.system
        for name in path.split("/"):
            found = [each for each in await node.get_children() if (await each.read_browse_name()).Name == name]
            node = found[0]
        return node

    async def link(self, path: str, method: Method) -> ua.NodeId:
        """Have a method answered; returns its node."""
        node = await self.node(path)
        wanted = await expected(node)

        async def checked(parent: Any, *given: ua.Variant) -> Any:
            return refusal(wanted, given) or await method(parent, *given)

        self._server.link_method(node, checked)
        return node.nodeid

    async def set(self, name: str, value: Any) -> None:
        """Set one of the strip's variables."""
        default, kind = _OWN_VARIABLES[name]
        await self._nodes[name].write_value(ua.Variant(value, kind, is_array=isinstance(default, list)))

    async def set_state(self, path: str, states: dict[str, int], state: str) -> None:
        """Set a state machine's present state."""
        current = await self.node(f"{path}/CurrentState")
        await current.write_value(ua.Variant(ua.LocalizedText(state), ua.VariantType.LocalizedText))
        for child in await current.get_children():
            if (await child.read_browse_name()).Name == "Id":
                found = ua.NodeId(states[state], self.vision) if state in states else ua.NodeId()
                await child.write_value(ua.Variant(found, ua.VariantType.NodeId))

    async def transition(self, name: str) -> ua.NodeId:
        """A transition of the state machine's type; an empty id for one that the specification has not."""
        for child in await self._server.get_node(ua.NodeId(MACHINE_TYPE, self.vision)).get_children():
            if (await child.read_browse_name()).Name == name:
                return child.nodeid
        return ua.NodeId()

    async def trigger(self, kind: int, text: str, severity: int, fields: dict[str, Any]) -> None:
        """Send an event to all who subscribed."""
        for generator in self._events[kind]:
            event = generator.event
            event.Message, event.Severity = ua.LocalizedText(text), severity
            for name, value in fields.items():
                setattr(event, name, value)
                # The library takes the type from the node set's example value, and most have none.
                event.data_types[name] = _kind_of(value)
            await generator.trigger()

    async def show(self, status: Status | None) -> None:
        """Show decide's counts."""
        line = status.line if status is not None else None
        if line is None:
            return
        await self.set("Recipe", line.recipe)
        await self.set("Engine", line.worker.engine or line.engine)
        for name in ("captured", "accepted", "rejected", "uninspected"):
            total = sum(getattr(camera, name) for camera in line.cameras.values())
            await self.set(name.capitalize(), total)


def _kind_of(value: Any) -> ua.VariantType:
    """The type of an event's field; a list is one of texts."""
    for kind, variant in _KINDS:
        if isinstance(value, kind):
            return variant
    return ua.VariantType.ExtensionObject


_KINDS: Final = (
    (bool, ua.VariantType.Boolean),
    (int, ua.VariantType.Int32),
    ((str, list), ua.VariantType.String),
    (ua.LocalizedText, ua.VariantType.LocalizedText),
    (ua.NodeId, ua.VariantType.NodeId),
    (datetime, ua.VariantType.DateTime),
)
