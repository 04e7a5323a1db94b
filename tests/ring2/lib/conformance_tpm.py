"""A TPM that is asked by name, the record of what it answered, and what is asked for often."""

import hashlib
import os

from tpm2 import PAGE, Password, Policy, Reader, b2, command, sized, u16, u32, u8

OWNER, NULL, LOCKOUT, ENDORSEMENT, PLATFORM = 0x40000001, 0x40000007, 0x4000000A, 0x4000000B, 0x4000000C
RSA, SHA1, HMAC, AES, KEYEDHASH, SHA256, SHA384, NONE = 0x01, 0x04, 0x05, 0x06, 0x08, 0x0B, 0x0C, 0x10
RSASSA, RSAES, ECDSA, ECDH, ECDAA, ECC, SYMCIPHER, CFB = 0x14, 0x15, 0x18, 0x19, 0x1A, 0x23, 0x25, 0x43
P256, ALG_NULL, CAP_HANDLES, CAP_COMMANDS = 0x0003, u16(NONE), 1, 2
TRIAL, POLICY, HMAC_SESSION = 3, 1, 0

# attributes of objects
FIXED, USER, NODA, RESTRICTED, DECRYPT, SIGN, X509 = 0x12, 0x40, 0x400, 0x10000, 0x20000, 0x40000, 0x80000
ORIGIN = 0x20
KEY = FIXED | ORIGIN | USER | NODA
STORAGE = KEY | RESTRICTED | DECRYPT

# attributes of NV indices
PPWRITE, OWNERWRITE, AUTHWRITE, POLICY_DELETE, WRITE_STCLEAR, GLOBALLOCK = 0x1, 0x2, 0x4, 0x400, 0x4000, 0x8000
PPREAD, OWNERREAD, AUTHREAD, NV_NODA, PLATFORMCREATE, READ_STCLEAR = 0x10000, 0x20000, 0x40000, 0x2000000, 0x40000000, 0x80000000
OWNER_RW = OWNERWRITE | OWNERREAD | NV_NODA

CODES = {
    0x11F: "NV_UndefineSpaceSpecial", 0x120: "EvictControl", 0x121: "HierarchyControl", 0x122: "NV_UndefineSpace", 0x124: "ChangeEPS",
    0x125: "ChangePPS", 0x126: "Clear", 0x127: "ClearControl", 0x128: "ClockSet", 0x129: "HierarchyChangeAuth", 0x12A: "NV_DefineSpace",
    0x12B: "PCR_Allocate", 0x12C: "PCR_SetAuthPolicy", 0x12D: "PP_Commands", 0x12E: "SetPrimaryPolicy", 0x130: "ClockRateAdjust",
    0x131: "CreatePrimary", 0x132: "NV_GlobalWriteLock", 0x133: "GetCommandAuditDigest", 0x134: "NV_Increment", 0x135: "NV_SetBits",
    0x136: "NV_Extend", 0x137: "NV_Write", 0x138: "NV_WriteLock", 0x139: "DictionaryAttackLockReset", 0x13A: "DictionaryAttackParameters",
    0x13B: "NV_ChangeAuth", 0x13C: "PCR_Event", 0x13D: "PCR_Reset", 0x13E: "SequenceComplete", 0x13F: "SetAlgorithmSet",
    0x140: "SetCommandCodeAuditStatus", 0x142: "IncrementalSelfTest", 0x143: "SelfTest", 0x144: "Startup", 0x145: "Shutdown",
    0x146: "StirRandom", 0x147: "ActivateCredential", 0x148: "Certify", 0x149: "PolicyNV", 0x14A: "CertifyCreation", 0x14B: "Duplicate",
    0x14C: "GetTime", 0x14D: "GetSessionAuditDigest", 0x14E: "NV_Read", 0x14F: "NV_ReadLock", 0x150: "ObjectChangeAuth",
    0x151: "PolicySecret", 0x152: "Rewrap", 0x153: "Create", 0x154: "ECDH_ZGen", 0x155: "HMAC", 0x156: "Import", 0x157: "Load",
    0x158: "Quote", 0x159: "RSA_Decrypt", 0x15B: "HMAC_Start", 0x15C: "SequenceUpdate", 0x15D: "Sign", 0x15E: "Unseal",
    0x160: "PolicySigned", 0x161: "ContextLoad", 0x162: "ContextSave", 0x163: "ECDH_KeyGen", 0x164: "EncryptDecrypt",
    0x165: "FlushContext", 0x167: "LoadExternal", 0x168: "MakeCredential", 0x169: "NV_ReadPublic", 0x16A: "PolicyAuthorize",
    0x16B: "PolicyAuthValue", 0x16C: "PolicyCommandCode", 0x16D: "PolicyCounterTimer", 0x16E: "PolicyCpHash", 0x16F: "PolicyLocality",
    0x170: "PolicyNameHash", 0x171: "PolicyOR", 0x172: "PolicyTicket", 0x173: "ReadPublic", 0x174: "RSA_Encrypt",
    0x176: "StartAuthSession", 0x177: "VerifySignature", 0x178: "ECC_Parameters", 0x17A: "GetCapability", 0x17B: "GetRandom",
    0x17C: "GetTestResult", 0x17D: "Hash", 0x17E: "PCR_Read", 0x17F: "PolicyPCR", 0x180: "PolicyRestart", 0x181: "ReadClock",
    0x182: "PCR_Extend", 0x183: "PCR_SetAuthValue", 0x184: "NV_Certify", 0x185: "EventSequenceComplete", 0x186: "HashSequenceStart",
    0x187: "PolicyPhysicalPresence", 0x188: "PolicyDuplicationSelect", 0x189: "PolicyGetDigest", 0x18A: "TestParms", 0x18B: "Commit",
    0x18C: "PolicyPassword", 0x18D: "ZGen_2Phase", 0x18E: "EC_Ephemeral", 0x18F: "PolicyNvWritten", 0x190: "PolicyTemplate",
    0x191: "CreateLoaded", 0x192: "PolicyAuthorizeNV", 0x193: "EncryptDecrypt2", 0x197: "CertifyX509",
}
NUMBERS = {name: code for code, name in CODES.items()}


class Stop(Exception):
    """A well-formed use was not answered as it should be: what follows would mean nothing."""


class Answer(Reader):
    """What a response holds: its handle, if it has one, and its parameters to be read."""

    def __init__(self, data, handle=None, rc=0):
        super().__init__(data)
        self.handle, self.rc = handle, rc


class Tpm:
    """One TPM, and the record of what it was asked and answered."""

    def __init__(self, where):
        self.where, self.record, self.worked, self.spoiled = where, [], set(), set()
        self.topic, self.limits = None, False  # what a line of the test is about: a command, or one of the TPM's limits

    def raw(self, what, data, same=False, **how):
        """Send it. @same: the whole response is compared; False: its tag, size and code; None: tag and code."""
        response = self.where.send(data, **how)
        shown = response if same else response[: 2 if same is None else 6] + response[6:10]
        self.record.append((self.topic, what, shown))
        return response

    def spoil(self, name, data):
        """The command cut at each byte, with its own size and with the cut one's; with sizes that lie, inside too, and a byte too many."""
        for n in range(10, len(data)):
            self.raw("%s cut at %d" % (name, n), data[:n])
            self.raw("%s shortened to %d" % (name, n), data[:2] + u32(n) + data[6:n])
        for at in sorted({data.find(whole, 10) for whole in sized if len(whole) > 3} - {-1}):
            size = int.from_bytes(data[at : at + 2], "big")
            for lie in (0, size - 1, size + 1, 0xFFFF):
                response = self.where.send(data[:at] + u16(lie) + data[at + 2 :])
                # which error it is depends on what is taken for the next field
                self.record.append((self.topic, "%s with size %d at byte %d is refused" % (name, lie, at), response[6:10] != u32(0)))
        for size in (0, 9, 10, len(data) - 1, len(data) + 1, PAGE, 0xFFFFFFFF):
            self.raw("%s that says %d bytes" % (name, size), data[:2] + u32(size) + data[6:])
        self.raw(name + " with a byte too many", data[:2] + u32(len(data) + 1) + data[6:] + b"\0")

    def __call__(self, name, handles=(), params=b"", auth=(), makes=False, want=0, same=False, locality=0):
        """Use the command @name; @auth: authorisations, or the number of empty passwords; @makes: it returns a handle; @want: any code if None."""
        code = NUMBERS[name]
        auth = [Password()] * auth if isinstance(auth, int) else auth
        names = [u32(h) for h in handles]
        area = b"".join(a.block(code, names, params) for a in auth)
        data = command(code, b"".join(names) + (u32(len(area)) + area if auth else b"") + params, 0x8002 if auth else 0x8001)
        if not self.limits:
            self.topic = name
        if not self.limits and name not in self.spoiled:
            self.spoiled.add(name)
            self.spoil(name, data)
        answer = Answer(self.raw(name, data, same, locality=locality)[6:])
        rc = answer.take32()
        if want is not None and rc != want:
            raise Stop("%s is answered with %x instead of %x; sent was %s" % (name, rc, want, data.hex()))
        if rc != 0:
            return Answer(b"", rc=rc)
        self.worked.add(name)
        answer.handle = answer.take32() if makes else None
        if auth:
            reply = Answer(answer.rest())
            answer = Answer(reply.take(reply.take32()), answer.handle)
            for a in auth:
                a.heard(reply.take2())
                reply.take(1), reply.take2()
        return answer


def public(kind, attributes, params, policy=b"", unique=None):
    """A TPM2B_PUBLIC with SHA-256 names."""
    if unique is None:
        unique = b2() + b2() if kind == ECC else b2()
    return b2(u16(kind) + u16(SHA256) + u32(attributes) + b2(policy) + params + unique)


AES128 = u16(AES) + u16(128) + u16(CFB)
NO_SENSITIVE = b2(b2() + b2())
NO_POINT = b2(b2() + b2())
ECC_STORAGE = public(ECC, STORAGE, AES128 + ALG_NULL + u16(P256) + ALG_NULL)
ECC_SIGN = public(ECC, KEY | SIGN, ALG_NULL + u16(ECDSA) + u16(SHA256) + u16(P256) + ALG_NULL)
ECC_X509 = public(ECC, KEY | SIGN | X509, ALG_NULL + u16(ECDSA) + u16(SHA256) + u16(P256) + ALG_NULL)
ECC_AK = public(ECC, KEY | SIGN | RESTRICTED, ALG_NULL + u16(ECDSA) + u16(SHA256) + u16(P256) + ALG_NULL)
ECC_DECRYPT = public(ECC, KEY | DECRYPT, ALG_NULL + ALG_NULL + u16(P256) + ALG_NULL)
ECC_DAA = public(ECC, KEY | SIGN, ALG_NULL + u16(ECDAA) + u16(SHA256) + u16(0) + u16(P256) + ALG_NULL)
HMAC_KEY = public(KEYEDHASH, KEY | SIGN, u16(HMAC) + u16(SHA256))
AES_KEY = public(SYMCIPHER, KEY | SIGN | DECRYPT, AES128)
NO_TICKET = u16(0x8024) + u32(NULL) + b2()


def rsa(attributes, scheme, bits=2048, symmetric=ALG_NULL):
    return public(RSA, attributes, symmetric + scheme + u16(bits) + u32(0))


def sha256(data):
    return hashlib.sha256(data).digest()


def name_of(area):
    return u16(SHA256) + sha256(area)


def pcrs(*numbers, bank=SHA256):
    """A selection of PCRs of one bank."""
    mask = sum(1 << n for n in numbers)
    return u32(1) + u16(bank) + u8(3) + mask.to_bytes(3, "little")


def primary(t, hierarchy, area, **how):
    return t("CreatePrimary", [hierarchy], NO_SENSITIVE + area + b2() + u32(0), auth=1, makes=True, **how).handle


def create(t, parent, area, sensitive=NO_SENSITIVE, **how):
    """The private and the public part, and what CertifyCreation wants."""
    r = t("Create", [parent], sensitive + area + b2() + u32(0), auth=1, **how)
    private, area = r.take2(), r.take2()
    r.take2()
    return private, area, r.take2(), r.rest()


def load(t, parent, private, area, **how):
    return t("Load", [parent], b2(private) + b2(area), auth=1, makes=True, **how).handle


def flush(t, *handles):
    for handle in handles:
        t("FlushContext", [], u32(handle))


def session(t, kind, **how):
    r = t("StartAuthSession", [NULL, NULL], b2(os.urandom(32)) + b2() + u8(kind) + ALG_NULL + u16(SHA256), makes=True, **how)
    return r.handle, r.take2()


def policy(t, *steps):
    """A policy session with these steps in it; a step is a command's name and its parameters."""
    handle, _ = session(t, POLICY)
    for name, params in steps:
        t(name, [handle], params)
    return Policy(handle)


def digest_of(t, *steps):
    """What such a session's digest is."""
    handle, _ = session(t, TRIAL)
    for name, params in steps:
        t(name, [handle], params)
    digest = t("PolicyGetDigest", [handle], same=True).take2()
    flush(t, handle)
    return digest


def code_step(name):
    return "PolicyCommandCode", u32(NUMBERS[name])


def nv_define(t, index, attributes, size, policy_digest=b"", by=OWNER, **how):
    area = u32(index) + u16(SHA256) + u32(attributes) + b2(policy_digest) + u16(size)
    return t("NV_DefineSpace", [by], b2() + b2(area), auth=1, **how)


def sign(t, key, data, **how):
    """The signature of SHA-256 of @data by an unrestricted key."""
    return t("Sign", [key], b2(sha256(data)) + ALG_NULL + NO_TICKET, auth=1, **how).rest()
