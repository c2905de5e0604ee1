/* ChaCha20-Poly1305 (RFC 8439) for the bench's load, and its tests.

   It is here because no library is promised to be. Nothing in it is constant-time on purpose: the product
   seals with libsodium. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "little-endian machines only"
#endif

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned __int128 u128;

enum { LANES = 8, STREAM = 64 * LANES, TAG = 16 };

/* ---- ChaCha20: eight blocks at once, one in each lane of a vector ---- */

typedef u32 lanes __attribute__((vector_size(4 * LANES)));

#define ROTATED(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define QUARTER(a, b, c, d) \
    a += b; d ^= a; d = ROTATED(d, 16); c += d; b ^= c; b = ROTATED(b, 12); \
    a += b; d ^= a; d = ROTATED(d, 8); c += d; b ^= c; b = ROTATED(b, 7);

/* The key stream of blocks `counter` to `counter` + 7. */
static void key_stream(u8 *out, const u8 key[32], const u8 nonce[12], u32 counter) {
    u32 words[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    memcpy(words + 4, key, 32);
    words[12] = counter;
    memcpy(words + 13, nonce, 12);
    lanes first[16], x[16];
    for (int i = 0; i < 16; i++) first[i] = words[i] - (lanes){0};
    for (u32 lane = 0; lane < LANES; lane++) first[12][lane] += lane;
    memcpy(x, first, sizeof x);
    for (int round = 0; round < 10; round++) {
        QUARTER(x[0], x[4], x[8], x[12]) QUARTER(x[1], x[5], x[9], x[13])
        QUARTER(x[2], x[6], x[10], x[14]) QUARTER(x[3], x[7], x[11], x[15])
        QUARTER(x[0], x[5], x[10], x[15]) QUARTER(x[1], x[6], x[11], x[12])
        QUARTER(x[2], x[7], x[8], x[13]) QUARTER(x[3], x[4], x[9], x[14])
    }
    u32 *to = (u32 *)out;
    for (int i = 0; i < 16; i++) x[i] += first[i];
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < 16; i++) to[16 * lane + i] = x[i][lane];
}

/* ---- Poly1305 with limbs of 44, 44 and 42 bits ---- */

struct poly { u64 r0, r1, r2, s1, s2, h0, h1, h2, pad0, pad1; };
static const u64 M44 = 0xfffffffffff, M42 = 0x3ffffffffff;

static u64 load64(const u8 *from) {
    u64 value;
    memcpy(&value, from, 8);
    return value;
}

static void poly_start(struct poly *p, const u8 key[32]) {
    u64 low = load64(key), high = load64(key + 8);
    p->r0 = low & 0xffc0fffffff;
    p->r1 = (low >> 44 | high << 20) & 0xfffffc0ffff;
    p->r2 = high >> 24 & 0x00ffffffc0f;
    p->s1 = p->r1 * 20;
    p->s2 = p->r2 * 20;
    p->h0 = p->h1 = p->h2 = 0;
    p->pad0 = load64(key + 16);
    p->pad1 = load64(key + 24);
}

static void poly_block(struct poly *p, const u8 block[16], u64 high_bit) {
    u64 low = load64(block), high = load64(block + 8);
    u64 h0 = p->h0 + (low & M44);
    u64 h1 = p->h1 + ((low >> 44 | high << 20) & M44);
    u64 h2 = p->h2 + ((high >> 24 & M42) | high_bit << 40);
    u128 d0 = (u128)h0 * p->r0 + (u128)h1 * p->s2 + (u128)h2 * p->s1;
    u128 d1 = (u128)h0 * p->r1 + (u128)h1 * p->r0 + (u128)h2 * p->s2;
    u128 d2 = (u128)h0 * p->r2 + (u128)h1 * p->r1 + (u128)h2 * p->r0;
    d1 += (u64)(d0 >> 44);
    d2 += (u64)(d1 >> 44);
    h0 = ((u64)d0 & M44) + (u64)(d2 >> 42) * 5;
    p->h0 = h0 & M44;
    p->h1 = ((u64)d1 & M44) + (h0 >> 44);
    p->h2 = (u64)d2 & M42;
}

/* Whole blocks; a last part is filled up with zeros, as the construction of section 2.8 wants it. */
static void poly_padded(struct poly *p, const u8 *data, size_t length) {
    for (; length >= 16; data += 16, length -= 16) poly_block(p, data, 1);
    if (length) {
        u8 last[16] = {0};
        memcpy(last, data, length);
        poly_block(p, last, 1);
    }
}

static void poly_end(struct poly *p, u8 tag[TAG]) {
    u64 h0 = p->h0, h1 = p->h1, h2 = p->h2;
    for (int twice = 0; twice < 2; twice++) {
        h1 += h0 >> 44; h0 &= M44;
        h2 += h1 >> 44; h1 &= M44;
        h0 += (h2 >> 42) * 5; h2 &= M42;
    }
    h1 += h0 >> 44; h0 &= M44;
    u64 g0 = h0 + 5, g1 = h1 + (g0 >> 44), g2 = h2 + (g1 >> 44); /* h + 5: above 2^130 when h >= p */
    if (g2 >> 42) { h0 = g0 & M44; h1 = g1 & M44; h2 = g2 & M42; }
    u128 sum = (u128)(h0 | h1 << 44) + p->pad0;
    u64 low = (u64)sum;
    u64 high = (h1 >> 20 | h2 << 24) + p->pad1 + (u64)(sum >> 64);
    memcpy(tag, &low, 8);
    memcpy(tag + 8, &high, 8);
}

/* ---- the two together ---- */

/* Encrypts or decrypts (the same) in place, and gives the tag of the ciphertext, which is the output when
   `sealing`, the input otherwise. */
static void aead(u8 *data, size_t length, const u8 *ad, size_t ad_length, const u8 key[32],
                 const u8 nonce[12], int sealing, u8 tag[TAG]) {
    _Alignas(64) u8 stream[STREAM];
    struct poly poly;
    u64 lengths[2] = {ad_length, length};
    key_stream(stream, key, nonce, 0);
    poly_start(&poly, stream); /* block 0 is the key of the tag; the data begins at block 1 */
    poly_padded(&poly, ad, ad_length);
    if (!sealing) poly_padded(&poly, data, length);
    u32 used = 64, counter = 0;
    for (size_t at = 0; at < length;) {
        if (used == STREAM) { key_stream(stream, key, nonce, counter += LANES); used = 0; }
        size_t part = length - at < STREAM - used ? length - at : STREAM - used;
        for (size_t i = 0; i < part; i++) data[at + i] ^= stream[used + i];
        at += part;
        used += part;
    }
    if (sealing) poly_padded(&poly, data, length);
    poly_block(&poly, (u8 *)lengths, 1);
    poly_end(&poly, tag);
}

/* ---- tests ---- */

/* Section 2.8.2 of the RFC; its nonce is not one of Noise's, and it has associated data. */
static int aead_is_right(void) {
    static const u8 ad[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    static const u8 nonce[12] = {7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
    static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
                               "for the future, sunscreen would be it.";
    static const u8 first[16] = {0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb,
                                 0x7b, 0x86, 0xaf, 0xbc, 0x53, 0xef, 0x7e, 0xc2};
    static const u8 last[2] = {0x61, 0x16};
    static const u8 wanted[TAG] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
                                   0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};
    enum { LENGTH = sizeof text - 1 };
    u8 key[32], data[LENGTH], tag[TAG], again[TAG];
    for (u8 i = 0; i < 32; i++) key[i] = 0x80 + i;
    memcpy(data, text, LENGTH);
    aead(data, LENGTH, ad, sizeof ad, key, nonce, 1, tag);
    int right = !memcmp(data, first, 16) && !memcmp(data + LENGTH - 2, last, 2) && !memcmp(tag, wanted, TAG);
    aead(data, LENGTH, ad, sizeof ad, key, nonce, 0, again);
    return right && !memcmp(data, text, LENGTH) && !memcmp(tag, again, TAG);
}

/* Section 2.5.2, and of appendix A.3 the vectors whose sum is close to the prime or to 2^128. */
static int poly_is_right(void) {
    static const u8 key[32] = {0x85, 0xd6, 0xbe, 0x78, 0x57, 0x55, 0x6d, 0x33, 0x7f, 0x44, 0x52,
                               0xfe, 0x42, 0xd5, 0x06, 0xa8, 0x01, 0x03, 0x80, 0x8a, 0xfb, 0x0d,
                               0xb2, 0xfd, 0x4a, 0xbf, 0xf6, 0xaf, 0x41, 0x49, 0xf5, 0x1b};
    static const u8 wanted[TAG] = {0xa8, 0x06, 0x1d, 0xc1, 0x30, 0x51, 0x36, 0xc6,
                                   0xc2, 0x2b, 0x8b, 0xaf, 0x0c, 0x01, 0x27, 0xa9};
    static const char text[] = "Cryptographic Forum Research Group";
    static const struct { u8 first, rest, pad, tag_first, tag_rest; } edges[] = {
        {0xff, 0xff, 0x00, 0x03, 0x00}, {0x02, 0x00, 0xff, 0x03, 0x00}, {0xfd, 0xff, 0x00, 0xfa, 0xff}};
    struct poly poly;
    u8 tag[TAG], last[16] = {'u', 'p', 1};
    poly_start(&poly, key);
    poly_padded(&poly, (const u8 *)text, 32);
    poly_block(&poly, last, 0); /* alone, Poly1305 ends a last part with a one, not with zeros */
    poly_end(&poly, tag);
    int right = !memcmp(tag, wanted, TAG);
    for (int i = 0; i < 3; i++) {
        u8 two[32] = {2}, block[16], sum[TAG];
        memset(two + 16, edges[i].pad, 16);
        memset(block, edges[i].rest, 16);
        memset(sum, edges[i].tag_rest, TAG);
        block[0] = edges[i].first;
        sum[0] = edges[i].tag_first;
        poly_start(&poly, two);
        poly_block(&poly, block, 1);
        poly_end(&poly, tag);
        right = right && !memcmp(tag, sum, TAG);
    }
    return right;
}

/* Standard input is a key, 12 bytes of nonce and a plaintext; standard output its ciphertext and tag. */
static int seal_input(void) {
    static u8 given[44 + 65536 + TAG];
    size_t length = fread(given, 1, sizeof given - TAG, stdin);
    if (length < 44) return 1;
    aead(given + 44, length - 44, NULL, 0, given, given + 32, 1, given + length);
    return fwrite(given + 44, length - 44 + TAG, 1, stdout) != 1;
}
