/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OpenSSL's library in its own choice of code: SHA, AES and vector instructions where the processor offers them. */
#include "piece.h"

#include <openssl/evp.h>

enum { CHUNK = 16 << 10, MIB = 1 << 20 };
static uint8_t in[CHUNK], out[CHUNK + 64];

static void digest(const char *name, const EVP_MD *md, int mib)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t sum[EVP_MAX_MD_SIZE] = { 0 };
	EVP_DigestInit_ex(c, md, NULL);
	EVP_DigestUpdate(c, in, CHUNK);
	struct piece p = piece_begin(name);
	for (int n = 0; n < mib * (MIB / CHUNK); n++)
		EVP_DigestUpdate(c, in, CHUNK);
	EVP_DigestFinal_ex(c, sum, NULL);
	piece_end(p, piece_hash(PIECE_SEED, sum, sizeof(sum)));
	EVP_MD_CTX_free(c);
}

static void cipher(const char *name, const EVP_CIPHER *type, int mib)
{
	static const uint8_t key[32] = "a key of thirty-two bytes, fixed", iv[16] = "and a start";
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint64_t check = PIECE_SEED;
	int n = 0;
	EVP_EncryptInit_ex(c, type, NULL, key, iv);
	EVP_EncryptUpdate(c, out, &n, in, CHUNK);
	struct piece p = piece_begin(name);
	for (int k = 0; k < mib * (MIB / CHUNK); k++) {
		EVP_EncryptUpdate(c, out, &n, in, CHUNK);
		check = piece_hash(check, out, 16);
	}
	piece_end(p, check);
	EVP_CIPHER_CTX_free(c);
}

static void sha256(const char *name) { digest(name, EVP_sha256(), 192); }
static void sha512(const char *name) { digest(name, EVP_sha512(), 64); }
static void cbc(const char *name) { cipher(name, EVP_aes_128_cbc(), 128); }
static void gcm(const char *name) { cipher(name, EVP_aes_128_gcm(), 256); }
static void chacha(const char *name) { cipher(name, EVP_chacha20(), 128); }

int main(int argc, char **argv)
{
	static const struct piece_row table[] = {
		{ "sha256", sha256 }, { "sha512", sha512 }, { "aes-128-cbc", cbc }, { "aes-128-gcm", gcm },
		{ "chacha20", chacha }, { 0 },
	};
	return piece_main(argc, argv, table);
}
