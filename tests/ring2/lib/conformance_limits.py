"""A TPM's limits: how much it holds, and what it refuses."""

from conformance_tpm import (
    ALG_NULL, CFB, ECC, ECC_SIGN, ENDORSEMENT, FIXED, HMAC, KEY, KEYEDHASH, LOCKOUT, NODA, NO_SENSITIVE, NULL, ORIGIN, OWNER, OWNER_RW,
    POLICY, RSA, SHA256, SIGN, SYMCIPHER, USER, digest_of, flush, nv_define, pcrs, policy, primary, public, rsa, sha256,
)
from tpm2 import HEADER, PAGE, Password, b2, command, u16, u32, u8


def limit_capabilities(t):
    """Everything that GetCapability lists."""
    for capability in range(11):
        for first in (0, 1, 0x100, 0x200, 0x1000000, 0x2000000, 0x3000000, 0x40000000, 0x80000000, 0x81000000):
            for count in (1, 64, 0xFFFFFFFF):
                t("GetCapability", [], u32(capability) + u32(first) + u32(count), want=None, same=True)


def limit_sizes(t):
    """The longest command, and what is longer."""
    most = PAGE - HEADER
    for size in (most - 1, most, most + 1, PAGE):
        t.raw("a command of %d bytes" % size, u16(0x8001) + u32(size) + u32(0x17B) + bytes(size - 10))
        t.raw("%d bytes after a command" % size, command(0x17B, u16(8)) + bytes(size - 12))


def limit_codes(t):
    """Command codes that there are not, and tags."""
    for code in (*range(0x110, 0x11F), *range(0x1A0, 0x210), 0, 1, 0xFFFF, 0x10000, 0x1017B, 0x20000000, 0x2000017B, 0x40000000, 0x8000017B, 0xFFFFFFFF):
        for tag in (0x8001, 0x8002):
            t.raw("command code %x" % code, command(code, u32(9) + Password().block(0, 0, 0), tag))
    for tag in (0, 1, 0xC4, 0x100, 0x8000, 0x8003, 0x8014, 0x8021, 0xFFFF):  # 0x00c1 is a TPM 1.2's: tpm12.h
        t.raw("tag %x" % tag, command(0x17B, u16(8), tag))


def limit_buffers(t):
    """The longest of each kind of parameter, and one byte more."""
    for n in (0, 1, 63, 64, 65, 1024, 4000, 65535):
        t("GetRandom", [], u16(n), want=None)
    for n in (0, 1, 128, 129, 1023, 1024, 1025, 2048):
        data = b2(bytes(n))
        t("Hash", [], data + u16(SHA256) + u32(NULL), want=None, same=True)
        t("StirRandom", [], data, want=None)
        t("PCR_Event", [16], data, auth=1, want=None, same=True)
        t("HierarchyChangeAuth", [ENDORSEMENT], data, auth=1, want=None)
        t("HierarchyChangeAuth", [ENDORSEMENT], b2(), auth=[Password(bytes(n))], want=None)
        sequence = t("HashSequenceStart", [], data + u16(SHA256), want=None, makes=True).handle
        if sequence:
            t("SequenceUpdate", [sequence], b2(bytes(1025)), auth=[Password(bytes(n))], want=0x1D5)
            t("SequenceUpdate", [sequence], b2(bytes(1024)), auth=[Password(bytes(n))])
            t("SequenceComplete", [sequence], data + u32(NULL), auth=[Password(bytes(n))], want=None, same=True)
            flush_if(t, sequence)
        key = t("CreatePrimary", [NULL], b2(b2() + data) + public(KEYEDHASH, FIXED | USER | NODA, ALG_NULL) + b2() + u32(0), auth=1, makes=True, want=None).handle
        if key:
            t("Unseal", [key], auth=1, same=True)
            flush(t, key)


def flush_if(t, handle):
    t("FlushContext", [], u32(handle), want=None)


def limit_sequence(t):
    """A hash sequence of 256 KiB."""
    sequence = t("HashSequenceStart", [], b2() + u16(SHA256), makes=True).handle
    for n in range(256):
        t("SequenceUpdate", [sequence], b2(1024 * u8(n)), auth=1)
    digest = t("SequenceComplete", [sequence], b2() + u32(NULL), auth=1, same=True).take2()
    t.record.append((t.topic, "the digest", digest == sha256(b"".join(1024 * u8(n) for n in range(256)))))


def limit_nv(t):
    """The largest NV index, and NV memory that is full."""
    first = 0x1510000
    for size in (0, 1024, 2047, 2048, 2049, 65535):
        if nv_define(t, first, OWNER_RW, size, want=None).rc == 0:
            for at in range(0, size + 1, 1024):
                for n in (1024, 1025, size - at):
                    t("NV_Write", [OWNER, first], b2(u8(at // 256) * max(n, 0)) + u16(at), auth=1, want=None, same=True)
                    t("NV_Read", [OWNER, first], u16(max(n, 0)) + u16(at), auth=1, want=None, same=True)
            t("NV_UndefineSpace", [OWNER, first], auth=1)
    count = fill(t, lambda n: nv_define(t, first + n, OWNER_RW, 2048, want=None).rc)
    t("NV_Write", [OWNER, first + count - 1], b2(bytes(1024)) + u16(1024), auth=1, same=True)
    small = fill(t, lambda n: nv_define(t, first + 0x100 + n, OWNER_RW, 32, want=None).rc)
    for n in range(small):
        t("NV_UndefineSpace", [OWNER, first + 0x100 + n], auth=1)
    for n in range(count):
        t("NV_UndefineSpace", [OWNER, first + n], auth=1)


def fill(t, make):
    """How often @make(n) can be done."""
    n = 0
    while n < 1000 and make(n) == 0:
        n += 1
    t.record.append((t.topic, "how many there is room for", n))
    return n


def limit_slots(t):
    """All slots for objects, for sessions, for saved sessions and for persistent objects."""
    handles = []

    def make(name, params, **how):
        r = t(name, how.pop("handles", []), params, makes=True, want=None, **how)
        if r.rc == 0:
            handles.append(r.handle)
        return r.rc

    outside = public(KEYEDHASH, 0x40, ALG_NULL, unique=b2(bytes(32)))
    fill(t, lambda n: make("LoadExternal", b2() + outside + u32(NULL)))
    t("Hash", [], b2(b"abc") + u16(SHA256) + u32(NULL), same=True)
    t("CreatePrimary", [NULL], NO_SENSITIVE + ECC_SIGN + b2() + u32(0), auth=1, want=0x902)
    t("HashSequenceStart", [], b2() + u16(SHA256), want=0x902)
    flush(t, *handles)
    handles.clear()
    fill(t, lambda n: make("HashSequenceStart", b2() + u16(SHA256)))
    flush(t, *handles)
    handles.clear()
    start = b2(bytes(16)) + b2() + u8(POLICY) + ALG_NULL + u16(SHA256)
    fill(t, lambda n: make("StartAuthSession", start, handles=[NULL, NULL]))
    flush(t, *handles)
    handles.clear()
    fill(t, lambda n: make("StartAuthSession", start, handles=[NULL, NULL]) or t("ContextSave", [handles[-1]], want=None).rc)
    flush(t, *handles)
    handles.clear()
    key = primary(t, OWNER, public(KEYEDHASH, FIXED | ORIGIN | USER | NODA | SIGN, u16(HMAC) + u16(SHA256)))
    kept = fill(t, lambda n: t("EvictControl", [OWNER, key], u32(0x81010000 + n), auth=1, want=None).rc)
    for n in range(kept):
        t("EvictControl", [OWNER, 0x81010000 + n], u32(0x81010000 + n), auth=1)
    flush(t, key)


def limit_localities(t):
    """Each PCR and a policy at each locality."""
    for locality in range(5):
        for pcr in range(25):
            t("PCR_Extend", [pcr], u32(1) + u16(SHA256) + bytes(32), auth=1, locality=locality, want=None, same=True)
            t("PCR_Reset", [pcr], auth=1, locality=locality, want=None, same=True)
        for first in (0, 16):
            t("PCR_Read", [], pcrs(*range(first, first + 8)), locality=locality, same=True)
        key = primary(t, NULL, public(KEYEDHASH, ORIGIN | SIGN, u16(HMAC) + u16(SHA256), digest_of(t, ("PolicyLocality", u8(0x0A)))))
        t("HMAC", [key], b2(b"abc") + u16(SHA256), auth=[policy(t, ("PolicyLocality", u8(0x0A)))], locality=locality, want=None)
        flush(t, key)
        for handle in range(0x3000000, 0x3000003):
            flush_if(t, handle)


def limit_lockout(t):
    """Wrong passwords, until it locks itself."""
    key = t("CreatePrimary", [OWNER], b2(b2(b"right") + b2()) + public(KEYEDHASH, FIXED | ORIGIN | USER | SIGN, u16(HMAC) + u16(SHA256)) + b2() + u32(0),
            auth=1, makes=True).handle
    for password in 8 * (b"wrong",) + (b"right",):
        t("HMAC", [key], b2(b"abc") + u16(SHA256), auth=[Password(password)], want=None)
    t("DictionaryAttackLockReset", [LOCKOUT], auth=1)
    t("HMAC", [key], b2(b"abc") + u16(SHA256), auth=[Password(b"right")])
    flush(t, key)


def limit_algorithms(t):
    """Each algorithm, key size and curve; the largest RSA keys that it makes."""
    for bits in (512, 1024, 2048, 3072, 4096, 8192):
        offered = t("TestParms", [], u16(RSA) + ALG_NULL + ALG_NULL + u16(bits) + u32(0), want=None).rc == 0
        if offered and bits >= 3072:
            flush(t, primary(t, NULL, rsa(KEY | SIGN, ALG_NULL, bits)))
    for curve in range(0x30):
        t("ECC_Parameters", [], u16(curve), want=None, same=True)
        if t("TestParms", [], u16(ECC) + ALG_NULL + ALG_NULL + u16(curve) + ALG_NULL, want=None).rc == 0:
            flush(t, primary(t, NULL, public(ECC, KEY | SIGN, ALG_NULL + ALG_NULL + u16(curve) + ALG_NULL)))
    for algorithm in range(0x50):
        t("Hash", [], b2(b"abc") + u16(algorithm) + u32(NULL), want=None, same=True)
        t("IncrementalSelfTest", [], u32(1) + u16(algorithm), want=None, same=True)
        for bits in (128, 192, 256):
            t("TestParms", [], u16(SYMCIPHER) + u16(algorithm) + u16(bits) + u16(CFB), want=None)


LIMITS = (limit_capabilities, limit_sizes, limit_codes, limit_buffers, limit_sequence, limit_nv, limit_slots, limit_localities, limit_lockout, limit_algorithms)
