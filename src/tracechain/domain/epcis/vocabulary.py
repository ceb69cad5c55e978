"""The Core Business Vocabulary 2.0: what a step, a disposition or a type may be called.

Promises one name and one web URI for each of the three spellings of a standard value: bare
(`shipping`), URN (`urn:epcglobal:cbv:bizstep:shipping`) and web (`BizStep-shipping` under
https://ref.gs1.org/cbv/, in full or as a CURIE). Rules and story wording compare the names,
event hashes the URIs: were a spelling missed, a shipment would not count as one, or the same event
would be two. What is not of the vocabulary is kept as it is, for users may bring their own.

Values: the JSON schemas of EPCIS 2.0. Namespaces: CBV 2.0 sections 7 and 8.9.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

CBV = "https://ref.gs1.org/cbv/"
GS1 = "https://gs1.org/voc/"
EPCIS = "https://ref.gs1.org/epcis/"
TRACECHAIN = "urn:tracechain:epcis:"
_CBV_URN = "urn:epcglobal:cbv:"
# What the standard's own JSON-LD context declares, and our own prefix.
_STANDARD_PREFIXES = {
    "cbv": CBV,
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "dcterms": "http://purl.org/dc/terms/",
    "epcis": EPCIS,
    "gs1": GS1,
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "tracechain": TRACECHAIN,
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

BIZ_STEPS = frozenset((
    "accepting", "arriving", "assembling", "collecting", "commissioning", "consigning",
    "creating_class_instance", "cycle_counting", "decommissioning", "departing", "destroying",
    "disassembling", "dispensing", "encoding", "entering_exiting", "holding", "inspecting",
    "installing", "killing", "loading", "other", "packing", "picking", "receiving", "removing",
    "repackaging", "repairing", "replacing", "reserving", "retail_selling", "sampling",
    "sensor_reporting", "shipping", "staging_outbound", "stock_taking", "stocking", "storing",
    "transporting", "unloading", "unpacking", "void_shipping",
))  # fmt: skip

DISPOSITIONS = frozenset((
    "active", "available", "completeness_inferred", "completeness_verified", "conformant",
    "container_closed", "container_open", "damaged", "destroyed", "dispensed", "disposed",
    "encoded", "expired", "in_progress", "in_transit", "inactive", "mismatch_class",
    "mismatch_instance", "mismatch_quantity", "needs_replacement", "no_pedigree_match",
    "non_conformant", "non_sellable_other", "partially_dispensed", "recalled", "reserved",
    "retail_sold", "returned", "sellable_accessible", "sellable_not_accessible", "stolen",
    "unavailable", "unknown",
))  # fmt: skip

BIZ_TRANSACTION_TYPES = frozenset((
    "bol", "cert", "desadv", "inv", "pedigree", "po", "poc", "prodorder", "recadv", "rma",
    "testprd", "testres", "upevt",
))  # fmt: skip

SOURCE_DEST_TYPES = frozenset(("location", "owning_party", "possessing_party"))

ERROR_REASONS = frozenset(("did_not_occur", "incorrect_data"))

COMPONENTS = frozenset((
    "altitude", "axial_distance", "azimuth", "easting", "elevation_angle", "height", "latitude",
    "longitude", "northing", "polar_angle", "spherical_radius", "x", "y", "z",
))  # fmt: skip

MEASUREMENT_TYPES = frozenset((
    "AbsoluteHumidity", "AbsorbedDose", "AbsorbedDoseRate", "Acceleration", "Altitude",
    "AmountOfSubstance", "AmountOfSubstancePerUnitVolume", "Angle", "AngularAcceleration",
    "AngularMomentum", "AngularVelocity", "Area", "Capacitance", "Conductance", "Conductivity",
    "Count", "Density", "Dimensionless", "DoseEquivalent", "DoseEquivalentRate",
    "DynamicViscosity", "ElectricCharge", "ElectricCurrent", "ElectricCurrentDensity",
    "ElectricFieldStrength", "Energy", "Exposure", "Force", "Frequency", "Illuminance",
    "Inductance", "Irradiance", "KinematicViscosity", "Length", "LinearMomentum", "Luminance",
    "LuminousFlux", "LuminousIntensity", "MagneticFlux", "MagneticFluxDensity",
    "MagneticVectorPotential", "Mass", "MassConcentration", "MassFlowRate", "MassPerAreaTime",
    "MemoryCapacity", "MolalityOfSolute", "MolarEnergy", "MolarMass", "MolarVolume", "Power",
    "Pressure", "RadiantFlux", "RadiantIntensity", "Radioactivity", "RelativeHumidity",
    "Resistance", "Resistivity", "SolidAngle", "SpecificVolume", "Speed", "SurfaceDensity",
    "SurfaceTension", "Temperature", "Time", "Torque", "Voltage", "Volume", "VolumeFlowRate",
    "VolumeFraction", "VolumetricFlux", "Wavenumber",
))  # fmt: skip

SENSOR_ALERTS = frozenset(("ALARM_CONDITION", "ERROR_CONDITION"))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One list of standard values; `urn`, `web` and `curie` go before the name of each."""

    names: frozenset[str]
    web: str
    curie: str
    urn: str = ""
    _uris: dict[str, str] = field(init=False, repr=False, compare=False)
    _names: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        prefixes = ["", self.web, self.curie] + ([self.urn] if self.urn else [])
        spellings = {prefix + name: name for name in self.names for prefix in prefixes}
        object.__setattr__(self, "_names", spellings)
        object.__setattr__(self, "_uris", {s: self.web + n for s, n in spellings.items()})

    def name(self, text: str) -> str:
        """The bare name of a standard value in any spelling; anything else unchanged."""
        return self._names.get(text, text)

    def uri(self, text: str) -> str:
        """The web URI of a standard value in any spelling.

        A URN or CURIE that the list does not have keeps its name under the web prefix, because
        the hash rewrites these by prefix alone (CBV 2.0 section 8.9); the rest is unchanged.
        """
        known = self._uris.get(text)
        if known is not None:
            return known
        if self.urn and text.startswith(self.urn):
            return self.web + text[len(self.urn) :]
        if text.startswith(self.curie):
            return self.web + text[len(self.curie) :]
        return text


BIZ_STEP = Vocabulary(BIZ_STEPS, CBV + "BizStep-", "cbv:BizStep-", _CBV_URN + "bizstep:")
DISPOSITION = Vocabulary(DISPOSITIONS, CBV + "Disp-", "cbv:Disp-", _CBV_URN + "disp:")
BIZ_TRANSACTION_TYPE = Vocabulary(
    BIZ_TRANSACTION_TYPES, CBV + "BTT-", "cbv:BTT-", _CBV_URN + "btt:"
)
SOURCE_DEST_TYPE = Vocabulary(SOURCE_DEST_TYPES, CBV + "SDT-", "cbv:SDT-", _CBV_URN + "sdt:")
ERROR_REASON = Vocabulary(ERROR_REASONS, CBV + "ER-", "cbv:ER-", _CBV_URN + "er:")
COMPONENT = Vocabulary(COMPONENTS, CBV + "Comp-", "cbv:Comp-")
MEASUREMENT_TYPE = Vocabulary(MEASUREMENT_TYPES, GS1, "gs1:")
SENSOR_ALERT = Vocabulary(SENSOR_ALERTS, GS1, "gs1:")

_BY_URN = (BIZ_STEP, DISPOSITION, BIZ_TRANSACTION_TYPE, SOURCE_DEST_TYPE, ERROR_REASON)


def biz_step_name(text: str) -> str:
    """`shipping` for each spelling of it; an unknown step unchanged."""
    return BIZ_STEP.name(text)


def disposition_name(text: str) -> str:
    """`in_transit` for each spelling of it; an unknown disposition unchanged."""
    return DISPOSITION.name(text)


def biz_step_uri(text: str) -> str:
    """https://ref.gs1.org/cbv/BizStep-shipping for each spelling of it."""
    return BIZ_STEP.uri(text)


def disposition_uri(text: str) -> str:
    """https://ref.gs1.org/cbv/Disp-in_transit for each spelling of it."""
    return DISPOSITION.uri(text)


def biz_transaction_type_uri(text: str) -> str:
    """https://ref.gs1.org/cbv/BTT-po for each spelling of it."""
    return BIZ_TRANSACTION_TYPE.uri(text)


def source_dest_type_uri(text: str) -> str:
    """https://ref.gs1.org/cbv/SDT-owning_party for each spelling of it."""
    return SOURCE_DEST_TYPE.uri(text)


def error_reason_uri(text: str) -> str:
    """https://ref.gs1.org/cbv/ER-incorrect_data for each spelling of it."""
    return ERROR_REASON.uri(text)


def component_uri(text: str) -> str:
    """https://ref.gs1.org/cbv/Comp-latitude for each spelling of it."""
    return COMPONENT.uri(text)


def measurement_type_uri(text: str) -> str:
    """https://gs1.org/voc/Temperature for each spelling of it."""
    return MEASUREMENT_TYPE.uri(text)


def sensor_alert_uri(text: str) -> str:
    """https://gs1.org/voc/ALARM_CONDITION for each spelling of it."""
    return SENSOR_ALERT.uri(text)


def urn_to_uri(text: str) -> str:
    """The web URI of a CBV URN whose list it names itself; anything else unchanged."""
    if text.startswith(_CBV_URN):
        for vocabulary in _BY_URN:
            if text.startswith(vocabulary.urn):
                return vocabulary.uri(text)
    return text


# --- Names of a document's own: prefixes are its writer's choice, what they stand for is not. ---


@lru_cache(maxsize=256)  # the events of a document share theirs
def prefixes(context: str) -> Mapping[str, str]:
    """Prefix or term to namespace, a later declaration over an earlier one.

    `context` is JSON text, an object or a list. A remote context in it is not read: no I/O here.
    """
    declared = dict(_STANDARD_PREFIXES)
    entries = json.loads(context) if context else []
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict):
            for prefix, value in entry.items():
                iri = value.get("@id") if isinstance(value, dict) else value
                if isinstance(iri, str) and not prefix.startswith("@"):
                    declared[prefix] = iri
    return MappingProxyType(declared)


def qualified_name(name: str, known: Mapping[str, str]) -> str:
    """`{namespace}name` of a prefixed name, a whole IRI or a declared term; else `name` itself."""
    prefix, colon, local = name.partition(":")
    if not colon:
        iri = known.get(name)
        return name if iri is None else _split(iri)
    is_iri = prefix == "urn" or local.startswith("//")
    namespace = known.get(prefix)
    if namespace is not None and not is_iri:
        return f"{{{namespace}}}{local}"
    return _split(name) if is_iri else name


def _split(iri: str) -> str:
    at = max(iri.rfind("/"), iri.rfind("#"), iri.rfind(":")) + 1
    return f"{{{iri[:at]}}}{iri[at:]}"
