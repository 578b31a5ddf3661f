"""The methods of the specification: plans (recipes), results, the configuration, and the automatic mode."""

import asyncio
from typing import Any, Final

import structlog
from asyncua import ua

from inspector.errors import WorkError
from inspector.opcua.plans import Plans
from inspector.opcua.results import Result, ResultStore
from inspector.opcua.space import RECIPE_PREPARED, Space
from inspector.opcua.types import binary_id, external_recipe, made, structure, text_of, variant
from inspector.repeated import Repeated

MOST_RESULTS: Final = 100
"""Results in one answer."""

UNKNOWN, REFUSED, NOT_HERE = -1, -2, -3
"""Values of the output `Error`: no such thing, refused by the line, not done by this system."""

_DONT_CARE: Final = 2

log = structlog.get_logger()


class Methods:
    """Answers calls; all of them run on the server's loop."""

    def __init__(self, space: Space, plans: Plans, store: ResultStore, configuration: str, since: Any) -> None:
        """`configuration` is name and hash of line.toml, `since` the time of the start."""
        self._space, self._plans, self._store = space, plans, store
        self._configuration, self._since = configuration, since
        self._refused = Repeated()

    async def link(self) -> set[ua.NodeId]:
        """Link all methods; returns those that only read."""
        machine = "VisionStateMachine"
        automatic = f"{machine}/AutomaticModeStateMachine"
        reading = {
            "RecipeManagement/GetRecipeListFiltered": self.recipe_list,
            "ResultManagement/GetResultById": self.result_by_id,
            "ResultManagement/GetResultComponentsById": self.result_components,
            "ResultManagement/GetResultListFiltered": self.result_list,
            "ConfigurationManagement/GetConfigurationList": self.configurations,
            "ConfigurationManagement/GetConfigurationById": self.configuration_by_id,
        }
        changing = {
            "RecipeManagement/PrepareRecipe": self.prepare,
            "RecipeManagement/UnprepareRecipe": self.unprepare,
            "ConfigurationManagement/ActivateConfiguration": self.activate,
            f"{automatic}/StartContinuous": self.start,
            f"{automatic}/Stop": self.stop,
            f"{automatic}/StartSingleJob": self.not_here_with_job,
            f"{automatic}/Abort": self.not_here,
            f"{machine}/Halt": self.not_here,
            f"{machine}/Reset": self.not_here,
            f"{machine}/SelectModeAutomatic": self.not_here,
        }
        for path, method in changing.items():
            await self._space.link(path, method)
        return {await self._space.link(path, method) for path, method in reading.items()}

    async def recipe_list(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """GetRecipeListFiltered."""
        external, _product, prepared, most, start = (each.Value for each in given[:5])
        wanted = text_of(external)
        names = [
            name
            for name in self._plans.identities
            if (not wanted or name == wanted)
            and (prepared in (None, _DONT_CARE) or bool(prepared) == (name == self._plans.prepared))
        ]
        page = _page(names, start, most)
        recipes = [binary_id("RecipeIdInternalDataType", self._plans.identities[name]) for name in page]
        return [*_listed(names, page, start), structure(recipes), _error()]

    async def prepare(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """PrepareRecipe: the plan of the next coil that StartContinuous starts."""
        external, internal = (text_of(each.Value) for each in given[:2])
        name = self._plans.find(external, internal)
        if name is None:
            await self._refuse(f"no plan {external or internal}: there is {', '.join(self._plans.identities)}")
            return [structure(binary_id("RecipeIdInternalDataType", "")), _boolean(value=False), _error(UNKNOWN)]
        self._plans.prepared = name
        found = binary_id("RecipeIdInternalDataType", self._plans.identities[name])
        await self._space.set("Plan", name)
        fields = {"ExternalId": external_recipe(name), "InternalId": found}
        await self._space.trigger(RECIPE_PREPARED, f"plan {name} is prepared", 100, fields)
        log.info("opcua: plan prepared", plan=name)
        return [structure(found), _boolean(value=True), _error()]

    async def unprepare(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """UnprepareRecipe."""
        external, internal = (text_of(each.Value) for each in given[:2])
        name = self._plans.find(external, internal)
        if name is None or name != self._plans.prepared:
            await self._refuse(f"plan {external or internal} is not prepared")
            return [structure(binary_id("RecipeIdInternalDataType", "")), _error(UNKNOWN)]
        self._plans.prepared = None
        await self._space.set("Plan", "")
        return [structure(binary_id("RecipeIdInternalDataType", self._plans.identities[name])), _error()]

    async def start(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """StartContinuous: a coil starts, `PartId` is its name, `RecipeId` its plan."""
        _measure, part, recipe = (each.Value for each in given[:3])
        plan = self._plans.find(text_of(recipe), "") if text_of(recipe) else self._plans.prepared or ""
        nobody = structure(made("JobIdDataType", Id=""))
        if plan is None:
            await self._refuse(f"no plan {text_of(recipe)}: there is {', '.join(self._plans.identities)}")
            return [nobody, _error(UNKNOWN)]
        try:
            number = await asyncio.to_thread(self._plans.start_coil, text_of(part), plan)
        except WorkError as error:
            await self._refuse(str(error))
            return [nobody, _error(REFUSED)]
        log.info("opcua: coil started", coil=text_of(part), plan=plan)
        return [structure(made("JobIdDataType", Id=str(number))), _error()]

    async def stop(self, _parent: Any, *_given: ua.Variant) -> list[ua.Variant]:
        """Stop: the coil on the line ends."""
        try:
            await asyncio.to_thread(self._plans.end_coil)
        except WorkError as error:
            await self._refuse(str(error))
            return [_error(REFUSED)]
        return [_error()]

    async def not_here(self, _parent: Any, *_given: ua.Variant) -> list[ua.Variant]:
        """A line is started and stopped by systemd alone."""
        await self._refuse("the line is started and stopped by its service, not over OPC UA")
        return [_error(NOT_HERE)]

    async def not_here_with_job(self, _parent: Any, *_given: ua.Variant) -> list[ua.Variant]:
        """StartSingleJob: a strip is not one picture."""
        await self._refuse("a strip is inspected continuously: call StartContinuous")
        return [structure(made("JobIdDataType", Id="")), _error(NOT_HERE)]

    async def result_by_id(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """GetResultById."""
        found = self._store.get(text_of(given[0].Value))
        if found is None:
            return [_handle(), structure(made("ResultDataType")), _error(UNKNOWN)]
        return [_handle(), structure(self._structure(found)), _error()]

    async def result_components(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """GetResultComponentsById."""
        found = self._store.get(text_of(given[0].Value))
        fields = (found or _NO_RESULT).fields(self._configuration)
        named = ("MeasId", "PartId", "ExternalRecipeId", "InternalRecipeId")
        after = ("InternalConfigurationId", "JobId")
        return [
            _boolean(value=False),
            _handle(),
            _boolean(value=fields["IsPartial"]),
            _boolean(value=False),
            variant(fields["ResultState"], ua.VariantType.Int32),
            *(structure(fields[name]) for name in named),
            structure(made("ProductIdDataType", Id="")),
            structure(made("ConfigurationIdDataType", Id="")),
            *(structure(fields[name]) for name in after),
            variant(fields["CreationTime"], ua.VariantType.DateTime),
            structure(made("ProcessingTimesDataType")),
            ua.Variant(fields["ResultContent"], ua.VariantType.String, is_array=True),
            _error(0 if found is not None else UNKNOWN),
        ]

    async def result_list(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """GetResultListFiltered, newest first."""
        state, _measure, part, external, internal, _outside, _inside, _product, job, most, start = (
            each.Value for each in given[:11]
        )
        recipe = text_of(external) or text_of(internal)
        matching = self._store.newest(coil=text_of(part), job=text_of(job), recipe=recipe, state=int(state or 0))
        page = _page(matching, start, most)
        return [*_listed(matching, page, start), structure([self._structure(each) for each in page]), _error()]

    async def configurations(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """GetConfigurationList: the one that the line runs with."""
        most, start = (each.Value for each in given[:2])
        every = [self.active()]
        page = _page(every, start, most)
        return [*_listed(every, page, start), structure(page), _error()]

    async def configuration_by_id(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """GetConfigurationById."""
        known = text_of(given[0].Value) == self.active().InternalId.Id
        return [_handle(), structure(self.active()), _error(0 if known else UNKNOWN)]

    async def activate(self, _parent: Any, *given: ua.Variant) -> list[ua.Variant]:
        """ActivateConfiguration: it is already active, or it is not one of this line."""
        if text_of(given[0].Value) == self.active().InternalId.Id:
            return [_error()]
        await self._refuse("line.toml is changed on the inspection PC, with a restart")
        return [_error(NOT_HERE)]

    def active(self) -> Any:
        """The configuration that the line runs with."""
        identity = binary_id("ConfigurationIdDataType", self._configuration)
        return made(
            "ConfigurationDataType",
            HasTransferableDataOnFile=False,
            InternalId=identity,
            LastModified=self._since,
        )

    def _structure(self, result: Result) -> Any:
        fields = result.fields(self._configuration)
        # In a structure, the elements of any type are values of their own; in an event it is a list of texts.
        content = [ua.Variant(each, ua.VariantType.String) for each in fields.pop("ResultContent")]
        return made("ResultDataType", **fields, ResultContent=content, HasTransferableDataOnFile=False)

    async def _refuse(self, why: str) -> None:
        if (count := self._refused.due()) is not None:
            log.warning("opcua: a call is refused", why=why, count=count)
        await self._space.set("LastRefusal", why)


_NO_RESULT: Final = Result("", "", "", "", "", 0, is_partial=False, state=0, text="", content="", severity=1)


def _page(every: list[Any], start: Any, most: Any) -> list[Any]:
    first = max(0, int(start or 0))
    count = MOST_RESULTS if not most else max(0, min(int(most), MOST_RESULTS))
    return every[first : first + count]


def _listed(every: list[Any], page: list[Any], start: Any) -> list[ua.Variant]:
    """The first outputs of a list: whether it is complete, its length, and a handle."""
    complete = max(0, int(start or 0)) + len(page) >= len(every)
    return [_boolean(value=complete), variant(len(page), ua.VariantType.UInt32), _handle()]


def _handle() -> ua.Variant:
    """Nothing is stored for a client, so there is nothing to release."""
    return variant(0, ua.VariantType.UInt32)


def _boolean(*, value: bool) -> ua.Variant:
    return variant(value, ua.VariantType.Boolean)


def _error(code: int = 0) -> ua.Variant:
    return variant(code, ua.VariantType.Int32)
