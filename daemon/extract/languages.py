"""Languages other than English: which text is in one, and the few words of them that are known.

Little is read out of words here. A request is a request because a person typed it, and what became
of it shows in tests, commits and edits.
"""

from __future__ import annotations

import re

_FOREIGN_LETTERS = re.compile(r"[^\W\d_\u0000-\u024f]")
_LETTERS = re.compile(r"[^\W\d_]+")
_ENGLISH = frozenset(
    "the and is are to of for with this that it you your please can have has from be should not "
    "we i but what how why when add fix use make now all there if then on my need want".split()
)
_OTHERS = frozenset(
    "der das und ist nicht ein eine einen einem für mit auf bitte ich wir du kannst wie warum "
    "noch jetzt dem den von zu im beim auch wird sind soll füge behebe "
    "le les une est pas pour avec dans sur je nous vous peux pourquoi maintenant aux cette ce "
    "el los las una es para con por que qué cómo puedes ahora del esta este añade agrega "
    "il gli che non per perché puoi adesso della nel questo questa aggiungi "
    "o os um uma não com você pode agora na adicione corrija "
    "het een niet voor met kun je waarom nu van de "
    "jest nie się proszę dodaj jak dlaczego dla "
    "och är inte att för det som kan du varför lägg".split()
)


def is_foreign(text: str) -> bool:
    """Is it in another language than English, as far as its letters and small words show?"""
    text = text[:1000]
    if not text.isascii():
        letters = sum(map(len, _LETTERS.findall(text)))
        if 5 * len(_FOREIGN_LETTERS.findall(text)) > letters > 0:
            return True
    words = [word.lower() for word in _LETTERS.findall(text)[:80]]
    english = sum(word in _ENGLISH for word in words)
    return sum(word in _OTHERS for word in words) > max(2 * english, 1)


_MAX_COURTESY = 60

_YES = (
    r"(?:好的?|可以|行|嗯|是的?|对|请?继续吧?|没问题|はい|続けて(?:ください)?|お願いします|네|예|계속(?:해)?"
    r"|да|продолжай(?:те)?|хорошо|дальше|ok(?:ay)?|ja|(?:mach |bitte )?weiter|bitte|gerne|genau"
    r"|passt|oui|d'accord|vas-y|continue[rz]?|sí|si|vale|continúa|sigue|adelante|sim|pode continuar"
    r"|va bene|tak|ga door|fortsätt)"
)
_NICE = (
    r"(?:谢谢[你您]?|[你您]好|ありがとう(?:ございます)?|こんにちは|감사합니다|안녕하세요|нет|спасибо|привет"
    r"|nein|danke(?: schön| dir)?|hallo|gut|prima|super|non|merci(?: beaucoup)?|bonjour|parfait"
    r"|gracias|hola|perfecto|obrigad[oa]|olá|grazie|ciao|perfetto|dzięki|dziękuję|bedankt|dank je"
    r"|tack)"
)
_BETWEEN = r"[\s,.!。！，、]*"
_AGREEMENT = re.compile(rf"(?:{_YES}{_BETWEEN})+")
_COURTESY = re.compile(rf"(?:(?:{_YES}|{_NICE}){_BETWEEN})+")
_THANKS = re.compile(
    r"谢谢|ありがとう|감사|спасибо|\b(?:danke|merci|gracias|grazie|bedankt)\b|\b(?:obrigad|dzięk)"
)
_COMPLAINT = re.compile(
    r"不对|不行|错了|报错|还是(?:不|没|有|会)|没有?(?:效果|生效)|動かない|動きません|まだ"
    r"|違[うい]|안 ?[돼되]"
    r"|не работает|неправильно|вс[её] ещ[её]|\b(?:immer noch|falsch|toujours pas|no funciona"
    r"|(?:geht|funktioniert) (?:so |immer noch )?nicht|ne (?:marche|fonctionne)"
    r"|sigue (?:sin|fallando|igual)|não funciona|non funziona|nie działa)\b"
)
_WITHDRAWAL = re.compile(
    r"^算了|不用了|やめて|もういい|забудь|не надо\b|\b(?:vergiss (?:es|das)|laisse tomber"
    r"|olvídalo|déjalo"
    r"|lass (?:es|das) (?:sein|bleiben)|deixa (?:pra|para) lá|lascia (?:stare|perdere))\b"
)
_QUESTION = re.compile(
    r"为什么|什么|怎么|如何|是不是|吗[？?。]?$|解释|说明|なぜ|どう|何が|説明|왜|무엇|어떻게|설명"
    r"|(?:^|[.!?] )(?:warum|wieso|weshalb|was (?:ist|macht|bedeutet)|welche[rs]?|wie|wo|erkläre?"
    r"|pourquoi|comment|quel(?:le)?s?|explique[rz]?|por qu[eé]|qué|cómo|cuál|explica|почему|как|что"
    r"|объясни|perché|como|dlaczego)\b"
)


def is_courtesy(text: str) -> bool:
    """Is it only a greeting, thanks, agreement or "go on", in a language known a little?"""
    return len(text) <= _MAX_COURTESY and _COURTESY.fullmatch(text.lower()) is not None


def is_agreement(text: str) -> bool:
    """Is it only a yes or a "go on"?"""
    return len(text) <= _MAX_COURTESY and _AGREEMENT.fullmatch(text.lower()) is not None


def is_thanks(text: str) -> bool:
    """Does it thank?"""
    return _THANKS.search(text.lower()) is not None


def is_complaint(text: str) -> bool:
    """Does it say that something does not work or is wrong?"""
    return _COMPLAINT.search(text.lower()) is not None


def is_withdrawal(text: str) -> bool:
    """Does it say that something is no longer wanted?"""
    return _WITHDRAWAL.search(text.lower()) is not None


def is_question(text: str) -> bool:
    """Does it ask for an answer rather than for work?"""
    return _QUESTION.search(text.lower()) is not None
