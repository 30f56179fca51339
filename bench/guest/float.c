/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floating point: the x87, scalar and packed SSE, AVX. */
#include "piece.h"

#include <complex.h>
#include <math.h>

static void x87(const char *name)
{
	struct piece p = piece_begin(name);
	long double a = 0.5L, sum = 0;
	for (int n = 1; n <= 6000000; n++) {
		long double x = a * n / (n + 3.25L) + sqrtl(n) * 1e-3L;
		sum += x - 1 / x;
		if (n % 16 == 0)
			sum += sinl(x) + atan2l(x, a);
		a = a * 0.999999L + 1e-7L;
	}
	double check = (double)sum;
	piece_end(p, piece_hash(PIECE_SEED, &check, sizeof(check)));
}

static void libm(const char *name)
{
	struct piece p = piece_begin(name);
	double sum = 0;
	for (int n = 1; n <= 5000000; n++) {
		double x = n * 1e-3;
		sum += sin(x) + exp(-x * 1e-3) + log(x) + pow(x, 0.3) + sqrt(x);
	}
	float check = (float)sum; /* the last bits depend on whether the library uses fused multiplication */
	piece_end(p, piece_hash(PIECE_SEED, &check, sizeof(check)));
}

enum { SIDE = 320 };
static float af[SIDE][SIDE], bf[SIDE][SIDE], cf[SIDE][SIDE];
static double ad[SIDE][SIDE], bd[SIDE][SIDE], cd[SIDE][SIDE];

static void fill(void)
{
	for (int i = 0; i < SIDE; i++)
		for (int k = 0; k < SIDE; k++) {
			af[i][k] = (float)(ad[i][k] = (i * 7 + k) % 13 - 6);
			bf[i][k] = (float)(bd[i][k] = (i + k * 5) % 11 - 5);
		}
}

/* Small whole numbers: exact in both, whatever the order of the sums. */
static void matrix_sse(const char *name)
{
	fill();
	struct piece p = piece_begin(name);
	for (int round = 0; round < 24; round++)
		for (int i = 0; i < SIDE; i++)
			for (int k = 0; k < SIDE; k++)
				for (int j = 0; j < SIDE; j++)
					cf[i][j] += af[i][k] * bf[k][j];
	piece_end(p, piece_hash(PIECE_SEED, cf, sizeof(cf)));
}

__attribute__((target("avx2,fma"))) static void multiply_avx(void)
{
	for (int i = 0; i < SIDE; i++)
		for (int k = 0; k < SIDE; k++)
			for (int j = 0; j < SIDE; j++)
				cd[i][j] += ad[i][k] * bd[k][j];
}

static void matrix_avx(const char *name)
{
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
		return;
	fill();
	struct piece p = piece_begin(name);
	for (int round = 0; round < 8; round++)
		multiply_avx();
	piece_end(p, piece_hash(PIECE_SEED, cd, sizeof(cd)));
}

enum { POINTS_LOG = 14, POINTS = 1 << POINTS_LOG };
static double re[POINTS], im[POINTS], wr[POINTS / 2], wi[POINTS / 2];

static void swap(double *a, double *b)
{
	double t = *a;
	*a = *b;
	*b = t;
}

static void transform(void)
{
	for (int i = 0, j = 0; i < POINTS; i++) {
		if (i < j) {
			swap(&re[i], &re[j]);
			swap(&im[i], &im[j]);
		}
		int bit = POINTS >> 1;
		for (; j & bit; bit >>= 1)
			j ^= bit;
		j ^= bit;
	}
	for (int len = 2; len <= POINTS; len <<= 1)
		for (int i = 0; i < POINTS; i += len)
			for (int k = 0, w = 0; k < len / 2; k++, w += POINTS / len) {
				int a = i + k, b = a + len / 2;
				double x = re[b] * wr[w] - im[b] * wi[w], y = re[b] * wi[w] + im[b] * wr[w];
				re[b] = re[a] - x;
				im[b] = im[a] - y;
				re[a] += x;
				im[a] += y;
			}
}

static void fft(const char *name)
{
	for (int k = 0; k < POINTS / 2; k++) {
		wr[k] = cos(2 * M_PI * k / POINTS);
		wi[k] = sin(2 * M_PI * k / POINTS);
	}
	for (int k = 0; k < POINTS; k++)
		re[k] = k % 17 - 8, im[k] = 0;
	struct piece p = piece_begin(name);
	for (int round = 0; round < 240; round++) {
		transform();
		for (int k = 0; k < POINTS; k++)
			re[k] *= 1.0 / 128, im[k] *= 1.0 / 128;
	}
	float check = (float)re[1] + (float)im[77];
	piece_end(p, piece_hash(PIECE_SEED, &check, sizeof(check)));
}

int main(int argc, char **argv)
{
	static const struct piece_row table[] = {
		{ "x87", x87 }, { "libm", libm }, { "matrix-sse", matrix_sse }, { "matrix-avx", matrix_avx },
		{ "fft", fft }, { 0 },
	};
	return piece_main(argc, argv, table);
}
