"""Every command that a TPM lists, as it is meant to be used; in groups that use each other's results."""

from conformance_tpm import (
    AES128, AES_KEY, ALG_NULL, AUTHREAD, AUTHWRITE, CFB, DECRYPT, ECC, ECC_AK, ECC_DAA, ECC_DECRYPT, ECC_SIGN, ECC_STORAGE, ECC_X509,
    ECDH, ENDORSEMENT, FIXED, GLOBALLOCK, HMAC_KEY, HMAC_SESSION, KEY, KEYEDHASH, LOCKOUT, NODA, NO_POINT, NO_SENSITIVE, NULL, NUMBERS,
    NV_NODA, ORIGIN, OWNER, OWNERREAD, OWNER_RW, P256, PLATFORM, PLATFORMCREATE, POLICY, POLICY_DELETE, PPREAD, PPWRITE, READ_STCLEAR,
    RSA, RSAES, SHA1, SHA256, SHA384, SIGN, STORAGE, TRIAL, USER, WRITE_STCLEAR, code_step, create, digest_of, flush, load, name_of,
    nv_define, pcrs, policy, primary, public, rsa, session, sha256, sign,
)
from tpm2 import Hmac, Password, b2, u16, u32, u64, u8


def use_power(t):
    t("Startup", [], u16(0), want=0x100)  # it was started already
    t("Shutdown", [], u16(1), same=True)
    t("GetCapability", [], u32(0) + u32(0) + u32(1000), same=True)
    t("SelfTest", [], u8(1), same=True)
    t("IncrementalSelfTest", [], u32(1) + u16(SHA256), same=True)
    t("GetTestResult", [], same=True)
    t("GetRandom", [], u16(32))
    t("StirRandom", [], b2(b"stir"))
    t("ReadClock", [])
    t("ClockSet", [OWNER], u64(10**9), auth=1)
    t("ClockRateAdjust", [OWNER], u8(0), auth=1)
    t("ECC_Parameters", [], u16(P256), same=True)
    t("TestParms", [], u16(RSA) + ALG_NULL + ALG_NULL + u16(2048) + u32(0), same=True)
    t("PP_Commands", [PLATFORM], u32(0) + u32(0), auth=1, want=0x990)  # nobody is present
    t("SetAlgorithmSet", [PLATFORM], u32(0), auth=1, want=None, same=True)


def use_pcrs(t):
    digest = u32(1) + u16(SHA256) + bytes(range(32))
    t("PCR_Extend", [16], digest, auth=1, same=True)
    t("PCR_Event", [16], b2(b"an event"), auth=1, same=True)
    t("PCR_Read", [], pcrs(0, 16, 17, 23), same=True)
    t("PCR_Reset", [16], auth=1, same=True)
    t("PCR_SetAuthValue", [20], b2(), auth=1, want=None, same=True)
    t("PCR_SetAuthPolicy", [PLATFORM], b2() + ALG_NULL + u32(20), auth=1, want=None, same=True)
    t("PCR_Allocate", [PLATFORM], pcrs(*range(24)), auth=1, same=True)
    t("PCR_Allocate", [PLATFORM], u32(4) + b"".join(u16(bank) + u8(3) + b"\xff\xff\xff" for bank in (SHA1, SHA256, SHA384, 0x0D)), auth=1, same=True)


def use_hashes(t):
    t("Hash", [], b2(b"abc") + u16(SHA256) + u32(NULL), same=True)
    key = primary(t, NULL, HMAC_KEY)
    t("HMAC", [key], b2(b"abc") + u16(SHA256), auth=1)
    for start in (("HMAC_Start", [key], 1), ("HashSequenceStart", [], 0)):
        sequence = t(start[0], start[1], b2() + u16(SHA256), auth=start[2], makes=True).handle
        t("SequenceUpdate", [sequence], b2(b"a"), auth=1)
        t("SequenceComplete", [sequence], b2(b"bc") + u32(NULL), auth=1, same=start[0] == "HashSequenceStart")
    sequence = t("HashSequenceStart", [], b2() + ALG_NULL, makes=True).handle
    t("EventSequenceComplete", [16, sequence], b2(b"abc"), auth=2, same=True)
    t("PCR_Read", [], pcrs(16), same=True)
    flush(t, key)
    key = primary(t, NULL, AES_KEY, want=None)
    if key:
        t("EncryptDecrypt2", [key], b2(bytes(32)) + u8(0) + u16(CFB) + b2(bytes(16)), auth=1)
        t("EncryptDecrypt", [key], u8(1) + u16(CFB) + b2(bytes(16)) + b2(bytes(32)), auth=1)
        flush(t, key)


def use_keys(t):
    """Keys of RSA and on P-256 below a storage key, which stays at 0x81000001."""
    srk = primary(t, OWNER, ECC_STORAGE)
    t("EvictControl", [OWNER, srk], u32(0x81000001), auth=1)
    flush(t, srk)
    srk = 0x81000001
    r = t("ReadPublic", [srk])
    srk_area, srk_name = r.take2(), r.take2()
    private, area, creation, ticket = create(t, srk, ECC_SIGN)
    key = load(t, srk, private, area)
    t("CertifyCreation", [key, key], b2(b"qualifying") + b2(creation) + ALG_NULL + ticket, auth=1)
    signature = sign(t, key, b"message")
    t("VerifySignature", [key], b2(sha256(b"message")) + signature)
    t("VerifySignature", [key], b2(sha256(b"another")) + signature, want=0x2DB)
    t("Certify", [key, key], b2(b"qualifying") + ALG_NULL, auth=2)
    issuer = primary(t, NULL, ECC_X509)
    t("CertifyX509", [key, issuer], b2() + ALG_NULL + b2(partial_certificate()), auth=2, same=None)  # DER: numbers are as long as they are
    flush(t, issuer)
    t("ObjectChangeAuth", [key, srk], b2(b"password"), auth=1)
    saved = t("ContextSave", [key]).rest()
    flush(t, key)
    key = t("ContextLoad", [], saved, makes=True).handle
    flush(t, key)
    key = t("LoadExternal", [], b2() + b2(area) + u32(NULL), makes=True).handle
    flush(t, key)
    r = t("CreateLoaded", [srk], NO_SENSITIVE + ECC_SIGN, auth=1, makes=True)
    flush(t, r.handle)
    sealed = b2(b2(b"password") + b2(b"sealed data"))
    private, area, _, _ = create(t, srk, public(KEYEDHASH, FIXED | USER, ALG_NULL), sealed)
    key = load(t, srk, private, area)
    t("Unseal", [key], auth=[Password(b"password")], same=True)
    flush(t, key)
    ek = primary(t, ENDORSEMENT, rsa(STORAGE, ALG_NULL, symmetric=AES128))
    r = t("MakeCredential", [ek], b2(b"credential") + b2(srk_name))
    t("ActivateCredential", [srk, ek], r.rest(), auth=2, same=True)
    flush(t, ek)
    key = primary(t, NULL, rsa(KEY | DECRYPT, ALG_NULL))
    cipher = t("RSA_Encrypt", [key], b2(b"message") + u16(RSAES) + b2()).take2()
    t("RSA_Decrypt", [key], b2(cipher) + u16(RSAES) + b2(), auth=1, same=True)
    flush(t, key)
    assert name_of(srk_area) == srk_name


def use_curves(t):
    key = primary(t, NULL, ECC_DECRYPT)
    r = t("ECDH_KeyGen", [key])
    r.take2()
    point = r.take2()
    t("ECDH_ZGen", [key], b2(point), auth=1)
    r = t("EC_Ephemeral", [], u16(P256))
    ephemeral, counter = r.take2(), r.take16()
    t("ZGen_2Phase", [key], b2(point) + b2(ephemeral) + u16(ECDH) + u16(counter), auth=1)
    flush(t, key)
    key = primary(t, NULL, ECC_DAA, want=None)
    if key:
        t("Commit", [key], NO_POINT + b2() + b2(), auth=1, want=None)
        flush(t, key)


def use_attestation(t):
    ak = primary(t, ENDORSEMENT, ECC_AK)
    t("Quote", [ak], b2(b"nonce") + ALG_NULL + pcrs(0, 1, 16), auth=1)
    t("GetTime", [ENDORSEMENT, ak], b2(b"nonce") + ALG_NULL, auth=2)
    t("SetCommandCodeAuditStatus", [OWNER], u16(SHA256) + u32(0) + u32(0), auth=1)
    t("SetCommandCodeAuditStatus", [OWNER], ALG_NULL + u32(1) + u32(NUMBERS["ReadClock"]) + u32(0), auth=1)
    t("ReadClock", [])
    t("GetCommandAuditDigest", [ENDORSEMENT, ak], b2(b"nonce") + ALG_NULL, auth=2)
    t("SetCommandCodeAuditStatus", [OWNER], ALG_NULL + u32(0) + u32(1) + u32(NUMBERS["ReadClock"]), auth=1)
    handle, nonce = session(t, HMAC_SESSION)
    audit = Hmac(handle, nonce, attributes=0x81)
    t("GetRandom", [], u16(8), auth=[audit])
    t("GetSessionAuditDigest", [ENDORSEMENT, ak, handle], b2(b"nonce") + ALG_NULL, auth=2)
    t("ClockRateAdjust", [OWNER], u8(0), auth=[Hmac(handle, audit.nonce)])
    flush(t, ak, handle)


def use_duplication(t):
    """A key moves from one parent to another, by way of a third."""
    srk, moves = 0x81000001, digest_of(t, code_step("Duplicate"))
    private, area, _, _ = create(t, srk, public(ECC, ORIGIN | USER | NODA | SIGN, ALG_NULL + ALG_NULL + u16(P256) + ALG_NULL, moves))
    key, other = load(t, srk, private, area), primary(t, NULL, ECC_STORAGE)
    r = t("Duplicate", [key, srk], b2() + ALG_NULL, auth=[policy(t, code_step("Duplicate"))])
    r.take2()
    duplicate, seed = r.take2(), r.take2()
    flush(t, key)
    t("Import", [srk], b2() + b2(area) + b2(duplicate) + b2(seed) + ALG_NULL, auth=1)
    r = t("Rewrap", [srk, other], b2(duplicate) + b2(name_of(area)) + b2(seed), auth=1)
    duplicate, seed = r.take2(), r.take2()
    t("Import", [other], b2() + b2(area) + b2(duplicate) + b2(seed) + ALG_NULL, auth=1)
    flush(t, other)


def use_nv(t):
    index = 0x1500001
    nv_define(t, index, OWNER_RW | WRITE_STCLEAR | READ_STCLEAR, 16, same=True)
    t("NV_Write", [OWNER, index], b2(b"sixteen bytes...") + u16(0), auth=1, same=True)
    t("NV_Read", [OWNER, index], u16(16) + u16(0), auth=1, same=True)
    t("NV_ReadPublic", [index], same=True)
    ak = primary(t, ENDORSEMENT, ECC_AK)
    t("NV_Certify", [ak, OWNER, index], b2(b"nonce") + ALG_NULL + u16(16) + u16(0), auth=2)
    flush(t, ak)
    t("NV_WriteLock", [OWNER, index], auth=1, same=True)
    t("NV_Write", [OWNER, index], b2(b"sixteen bytes...") + u16(0), auth=1, want=0x148)
    t("NV_ReadLock", [OWNER, index], auth=1, same=True)
    t("NV_Read", [OWNER, index], u16(16) + u16(0), auth=1, want=0x148)
    for kind, name, params in ((1, "NV_Increment", b""), (2, "NV_SetBits", u64(0x55)), (4, "NV_Extend", b2(b"extended"))):
        nv_define(t, index + kind, OWNER_RW | kind << 4, 32 if kind == 4 else 8)
        t(name, [OWNER, index + kind], params, auth=1, same=True)
        t("NV_Read", [OWNER, index + kind], u16(8) + u16(0), auth=1, same=True)
    nv_define(t, index + 5, OWNER_RW | GLOBALLOCK, 8)
    t("NV_GlobalWriteLock", [OWNER], auth=1, same=True)
    t("NV_Write", [OWNER, index + 5], b2(b"too late") + u16(0), auth=1, want=0x148)
    changes = digest_of(t, code_step("NV_ChangeAuth"))
    nv_define(t, index + 6, AUTHWRITE | AUTHREAD | OWNERREAD | NV_NODA, 8, changes)
    t("NV_ChangeAuth", [index + 6], b2(b"password"), auth=[policy(t, code_step("NV_ChangeAuth"))])
    t("NV_Write", [index + 6, index + 6], b2(b"password") + u16(0), auth=[Password(b"password")], same=True)
    goes = digest_of(t, code_step("NV_UndefineSpaceSpecial"))
    nv_define(t, index + 7, PPWRITE | PPREAD | PLATFORMCREATE | POLICY_DELETE | NV_NODA, 8, goes, by=PLATFORM)
    t("NV_UndefineSpace", [PLATFORM, index + 7], auth=1, want=0x282, same=True)
    t("NV_UndefineSpaceSpecial", [index + 7, PLATFORM], auth=[policy(t, code_step("NV_UndefineSpaceSpecial")), Password()])
    for used in (0, 1, 2, 4, 5, 6):
        t("NV_UndefineSpace", [OWNER, index + used], auth=1, same=True)


def use_policies(t):
    handle, nonce = session(t, TRIAL)
    step = lambda name, params=b"", handles=(), auth=0, **how: t(name, [*handles, handle], params, auth=auth, **how)
    again = lambda: (t("PolicyGetDigest", [handle], same=True), t("PolicyRestart", [handle], same=True))
    for name, params in (("PolicyAuthValue", b""), ("PolicyPassword", b""), ("PolicyPhysicalPresence", b""), ("PolicyLocality", u8(0x0F)),
                         ("PolicyCommandCode", u32(0x17B)), ("PolicyCpHash", b2(bytes(32))), ("PolicyNameHash", b2(bytes(32))),
                         ("PolicyTemplate", b2(bytes(32))), ("PolicyNvWritten", u8(1)), ("PolicyOR", u32(2) + 2 * b2(bytes(32))),
                         ("PolicyPCR", b2() + pcrs(17)), ("PolicyDuplicationSelect", b2(bytes(34)) + b2(bytes(34)) + u8(1)),
                         ("PolicyCounterTimer", b2(u64(0)) + u16(0) + u16(7))):
        step(name, params, same=True)
        again()
    step("PolicySecret", b2() + b2() + b2() + u32(0), [OWNER], 1)
    again()
    key = primary(t, OWNER, ECC_SIGN)
    key_area = t("ReadPublic", [key]).take2()
    index = 0x1500008
    nv_define(t, index, OWNER_RW, 34)
    t("NV_Write", [OWNER, index], b2(u16(SHA256) + bytes(32)) + u16(0), auth=1)
    step("PolicyNV", b2(u16(SHA256)) + u16(0) + u16(0), [OWNER, index], 1, same=True)
    again()
    flush(t, handle)
    handle, nonce = session(t, POLICY)
    step("PolicyAuthorizeNV", b"", [OWNER, index], 1)  # the digest of a new session is zero, as the index says
    again()
    t("NV_UndefineSpace", [OWNER, index], auth=1)
    approved = sha256(bytes(32) + b"reference")
    ticket = t("VerifySignature", [key], b2(approved) + sign(t, key, bytes(32) + b"reference")).rest()
    step("PolicyAuthorize", b2(bytes(32)) + b2(b"reference") + b2(name_of(key_area)) + ticket)
    t("PolicyRestart", [handle])
    signed = u32(-100)
    r = step("PolicySigned", b2(nonce) + b2() + b2() + signed + sign(t, key, nonce + signed), [key])
    timeout, ticket = r.take2(), r.rest()
    t("PolicyRestart", [handle])
    step("PolicyTicket", b2(timeout) + b2() + b2() + b2(name_of(key_area)) + ticket)
    flush(t, handle, key)


def use_hierarchies(t):
    """At the end, as it takes everything away."""
    t("DictionaryAttackParameters", [LOCKOUT], u32(5) + u32(1000) + u32(1000), auth=1, same=True)
    t("DictionaryAttackLockReset", [LOCKOUT], auth=1, same=True)
    t("SetPrimaryPolicy", [OWNER], b2(bytes(32)) + u16(SHA256), auth=1, same=True)
    t("HierarchyChangeAuth", [OWNER], b2(b"password"), auth=1, same=True)
    t("HierarchyChangeAuth", [OWNER], b2(), auth=[Password(b"password")], same=True)
    t("HierarchyControl", [PLATFORM], u32(OWNER) + u8(0), auth=1, same=True)
    t("ClockSet", [OWNER], u64(10**9), auth=1, want=0x185)  # that hierarchy is off
    t("HierarchyControl", [PLATFORM], u32(OWNER) + u8(1), auth=1, same=True)
    t("ClearControl", [LOCKOUT], u8(1), auth=1, same=True)
    t("Clear", [LOCKOUT], auth=1, want=0x120)
    t("ClearControl", [PLATFORM], u8(0), auth=1, same=True)
    for name, by, hierarchy in (("Clear", LOCKOUT, OWNER), ("ChangeEPS", PLATFORM, ENDORSEMENT), ("ChangePPS", PLATFORM, PLATFORM)):
        before = renewed_name(t, hierarchy)
        t(name, [by], auth=1, same=True)
        t.record.append((name, "the primary key is another", renewed_name(t, hierarchy) != before))
    t("Shutdown", [], u16(0), same=True)
    t("Shutdown", [], u16(1), want=0x1CA)  # the banks of PCRs were chosen anew
    t("GetRandom", [], u16(8))


def renewed_name(t, hierarchy):
    key = primary(t, hierarchy, ECC_STORAGE)
    name = t("ReadPublic", [key]).rest()
    flush(t, key)
    return name


def partial_certificate():
    """What TPM2_CertifyX509 completes: names, validity, key usage."""
    der = lambda tag, *parts: u8(tag) + length(len(b"".join(parts))) + b"".join(parts)
    length = lambda n: u8(n) if n < 128 else b"\x81" + u8(n)
    name = der(0x30, der(0x31, der(0x30, der(6, b"\x55\x04\x03"), der(0x0C, b"vTPM"))))
    validity = der(0x30, der(0x17, b"260101000000Z"), der(0x17, b"460101000000Z"))
    usage = der(0x30, der(6, b"\x55\x1d\x0f"), der(1, b"\xff"), der(4, der(3, b"\x07\x80")))
    return der(0x30, name, validity, name, der(0xA3, der(0x30, usage)))


# all but use_hierarchies(), which comes last
USES = (use_power, use_pcrs, use_hashes, use_keys, use_curves, use_attestation, use_duplication, use_nv, use_policies)
