"""Where a lesson belongs: the skill, the file in it, the topic of a fact.

Decided by counting words against the tables below and against what the existing skills say of
themselves; no table is complete, and what fits nowhere goes to the general place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acontext_fs import layout
from acontext_fs.daemon import words
from acontext_fs.errors import SkillInvalid
from acontext_fs.skills import Skill, check_path

DAILY_LOGS = "daily-logs"
USER_FACTS = "user-general-facts"
GENERAL_SKILL = "general-procedures"
GENERAL_TOPIC = "general-facts"

SHARED_WORDS_MIN = 3
"""So many words an existing skill's name and description must share with a lesson."""
DOMAIN_SCORE_MIN = 2
"""A word of the request counts two, one of the steps one."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A category of work, its telltale words, and what its skill says of itself."""

    name: str
    subject: str
    when: str
    telling: frozenset[str]


def _domain(name: str, subject: str, when: str, telling: str) -> Domain:
    return Domain(name, subject, when, frozenset(words.tokens(telling)))


# In the order that decides a tie.
DOMAINS = (
    _domain(
        "documentation",
        "writing and keeping up documentation",
        "a README, runbook, guide, changelog or report is to be written or changed",
        "document documentation readme runbook guide changelog doc docstring wiki tutorial manual "
        "report summary howto write-up",
    ),
    _domain(
        "project-tracking",
        "tickets, issues and plans",
        "a ticket, an issue or a task on a board is to be opened, found or changed",
        "ticket issue jira sprint board backlog milestone epic assignee triage kanban",
    ),
    _domain(
        "troubleshooting-services",
        "finding and mending faults of running services",
        "a service is slow, fails, answers with errors or does not start",
        "gateway 500 502 503 504 timeout latency outage crash pod kubectl log service upstream "
        "nginx proxy health incident memory cpu restart unreachable alert downtime slow hang "
        "container cluster namespace server dns",
    ),
    _domain(
        "testing",
        "writing, running and mending tests",
        "tests fail, are missing or are to be changed",
        "test pytest jest unittest coverage fixture mock flaky assertion spec vitest cypress "
        "playwright smoke",
    ),
    _domain(
        "version-control",
        "working with git and with reviews",
        "a branch, commit, merge or pull request is to be made or put right",
        "git commit branch merge rebase cherry-pick pull push conflict tag stash repository pr "
        "github gitlab remote",
    ),
    _domain(
        "deployment-and-release",
        "building, releasing and deploying software",
        "something is to be built, packaged, published or rolled out",
        "deploy deployment release rollout pipeline ci docker image helm terraform publish package "
        "version build staging production provision ansible workflow",
    ),
    _domain(
        "data-and-databases",
        "data files, queries and databases",
        "data is to be queried, migrated, cleaned, imported or exported",
        "database sql query table schema migration index postgres mysql sqlite duckdb csv parquet "
        "row column join dataset export import redis mongodb backup pandas dataframe",
    ),
    _domain(
        "booking-and-reservations",
        "bookings, reservations and their changes",
        "something is to be booked, changed, cancelled, upgraded or refunded",
        "book booking reservation flight hotel ticket seat passenger cabin cancel refund baggage "
        "luggage travel itinerary airline upgrade certificate trip airport economy insurance",
    ),
    _domain(
        "orders-and-payments",
        "orders, deliveries and payments",
        "an order, a delivery, a return or a payment is to be handled",
        "order delivery shipment return exchange payment invoice credit card product item address "
        "cart purchase price",
    ),
    _domain(
        "security-and-access",
        "permissions, credentials and safe set-ups",
        "somebody or something lacks access, or has too much of it",
        "permission token login password certificate tls ssl oauth auth authentication role access "
        "credential vulnerability firewall encryption ssh",
    ),
    _domain(
        "web-development",
        "web pages, front ends and web APIs",
        "a page, a component, a style or a web API is to be built or changed",
        "page html css react vue svelte component frontend browser api endpoint route javascript "
        "typescript button form layout ui http rest graphql website",
    ),
    _domain(
        "code-changes",
        "changing and mending code",
        "code is to be written, mended, restructured or explained",
        "code bug function class refactor method module variable type compile error exception "
        "traceback lint script implement parser library dependency python rust java golang fix "
        "feature argument loop",
    ),
    _domain(
        "files-and-scripts",
        "files, folders and small scripts",
        "files are to be found, moved, renamed, converted or worked through in bulk",
        "file folder directory rename move copy convert archive zip script shell bash pdf image "
        "download upload format",
    ),
    _domain(
        "research",
        "finding things out",
        "a question is to be answered from several sources",
        "search research find compare source article paper web information investigate answer "
        "question",
    ),
)
GENERAL = _domain(
    GENERAL_SKILL,
    "procedures that belong to no narrower subject",
    "no other skill covers the work at hand",
    "",
)

TOPICS = (
    (
        "coding-preferences",
        "code commit diff test function type lint format formatter indent indentation tab "
        "space naming comment refactor branch pull pr review smoke merge config docstring variable "
        "import deploy change patch style assertion mock coverage dependency rebase",
    ),
    (
        "communication-style",
        "answer reply respond response tone language german english french spanish concise short "
        "brief verbose emoji explain explanation summary summarise summarize email message formal "
        "bullet sentence word wording detail question call name greeting apology translate",
    ),
    (
        "tech-stack",
        "python typescript javascript react vue node postgres postgresql mysql sqlite docker "
        "kubernetes framework library database tool uv pip npm pnpm yarn version stack editor vim "
        "vscode linux macos windows rust golang java kotlin aws azure gcp terraform redis django "
        "flask fastapi pytest ruff mypy package browser cli api",
    ),
    (
        "work-context",
        "team project company role office timezone hour meeting customer client production staging "
        "environment manager colleague work job employer department monday tuesday wednesday "
        "thursday friday weekend schedule shift on-call policy",
    ),
    (
        "goals",
        "goal aim plan learn learning target achieve deadline roadmap launch become career exam "
        "finish ambition",
    ),
)
_TOPIC_WORDS = tuple((name, frozenset(words.tokens(listed))) for name, listed in TOPICS)

_NAMED_FILE = re.compile(r"`([A-Za-z0-9][\w./-]*\.md)`")
_DATED_FILE = re.compile(r"\byyyy[-/]mm(?:[-/]dd)?\.md\b", re.IGNORECASE)
_IN_THIS_FILE = re.compile(
    r"\b(?:in|to) (?:this file|the list below|the section below|`?SKILL\.md`?)|\bbelow\b",
    re.IGNORECASE,
)
_FAILURE_FILE = re.compile(r"pitfall|fail|problem|trap|mistake|trouble|incident|error|avoid")
_SUCCESS_FILE = re.compile(r"procedure|how|works|guide|steps|recipe|practice|playbook|solution")


def domain_of(request: str, steps: str) -> Domain:
    """The category of a piece of work; `GENERAL` if the tables know too little of its words."""
    asked, done = set(words.tokens(request)), set(words.tokens(steps))
    scored = [(2 * len(d.telling & asked) + len(d.telling & done - asked), d) for d in DOMAINS]
    best, domain = max(scored, key=lambda pair: pair[0])
    return domain if best >= DOMAIN_SCORE_MIN else GENERAL


def fitting_skill(catalogue: Sequence[Skill], text: str) -> Skill | None:
    """The existing skill, other than the two defaults and the categories above, that fits best.

    It fits if its name and description share `SHARED_WORDS_MIN` telling words with `text`, one of
    them from its name. The catalogue is of those that learners may write to.
    """
    own = {domain.name for domain in (*DOMAINS, GENERAL)} | {DAILY_LOGS, USER_FACTS}
    said = set(words.tokens(text))
    best: tuple[int, Skill] | None = None
    for skill in sorted(catalogue, key=lambda skill: skill.folder):
        named = set(words.tokens(skill.folder.replace("-", " ")))
        shared = len((named | set(words.tokens(skill.description))) & said)
        if skill.folder in own or not named & said:
            continue
        if shared >= SHARED_WORDS_MIN and (best is None or shared > best[0]):
            best = (shared, skill)
    return best[1] if best else None


def topic_of(fact: str) -> str:
    """The topic file (without suffix) a fact about the user belongs in."""
    said = set(words.tokens(fact))
    best, topic = max(((len(listed & said), name) for name, listed in _TOPIC_WORDS), key=_first)
    return topic if best else GENERAL_TOPIC


def day_file(skill: Skill, date: str) -> str:
    """The file of a day, below the skill's folder, in the pattern its SKILL.md states."""
    named = _DATED_FILE.search(skill.body)
    pattern = named[0] if named else "yyyy-mm-dd.md"
    year, month, day = date.split("-")
    for mark, value in (("yyyy", year), ("mm", month), ("dd", day)):
        pattern = re.sub(f"(?i){mark}", value, pattern)
    return pattern


def entry_file(skill: Skill, files: Mapping[str, bytes], text: str, date: str, failed: bool) -> str:
    """The file, below the skill's folder, that a lesson goes into by what its SKILL.md says.

    A file it names wins, first one for failures or for what works, then the one whose name shares
    most words; then a file a day; then the SKILL.md itself if that says so; else `lessons.md`.
    """
    named: list[str] = [
        name
        for name in dict.fromkeys(_NAMED_FILE.findall(skill.body))
        if name != layout.SKILL_FILE and not _DATED_FILE.fullmatch(name) and _can_be_written(name)
    ]
    if named:
        kind = _FAILURE_FILE if failed else _SUCCESS_FILE
        said = set(words.tokens(text))
        return max(
            named,
            key=lambda name: (
                bool(kind.search(name)),
                len(said & set(words.tokens(re.sub(r"[-_/.]", " ", name)))),
                f"{skill.folder}/{name}" in files,
                -named.index(name),
            ),
        )
    if _DATED_FILE.search(skill.body):
        return day_file(skill, date)
    return layout.SKILL_FILE if _IN_THIS_FILE.search(skill.body) else "lessons.md"


def _can_be_written(name: str) -> bool:
    if name.count("/") > 1:
        return False
    try:
        check_path(f"skill/{name}")
    except SkillInvalid:
        return False
    return True


def _first(pair: tuple[int, str]) -> int:
    return pair[0]
