/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Floating point in single, double and long double, printed as bits: the same program on the host must print the
 * same. Arguments come from a fixed generator, with special values in between.
 */
#include <complex.h>
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint64_t seed = 0x123456789abcdef1;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t hash = 0xcbf29ce484222325;

static void take(const void *p, size_t n)
{
	for (size_t k = 0; k < n; k++)
		hash = (hash ^ ((const uint8_t *)p)[k]) * 0x100000001b3;
}

static void put(const char *what)
{
	printf("%-12s %016llx\n", what, (unsigned long long)hash);
	hash = 0xcbf29ce484222325;
}

static double argument(int n)
{
	static const double special[] = { 0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, 5e-324, 1e308, -1e-310, 0.5, 3.0 };

	if (n < (int)(sizeof(special) / sizeof(*special)))
		return special[n];
	return ldexp((double)(int64_t)next(), (int)(next() % 80) - 100);
}

/* NaNs differ in sign and payload between library paths; their being NaN is what counts. */
#define TAKE(type, bytes, expr)                                                                                        \
	do {                                                                                                           \
		type value_ = (expr);                                                                                  \
		if (isnan(value_))                                                                                     \
			value_ = 0;                                                                                    \
		take(&value_, bytes);                                                                                  \
	} while (0)

#define LIST(F)                                                                                                       \
	F(sin)                                                                                                        \
	F(cos) F(tan) F(atan) F(exp) F(log) F(sqrt) F(cbrt) F(sinh) F(tanh) F(expm1) F(log1p) F(floor) F(rint) F(erf) \
		F(lgamma)
#define RUN(fn)                                               \
	for (int n = 0; n < 400; n++) {                       \
		double x = argument(n);                       \
		TAKE(double, 8, fn(x));                       \
		TAKE(float, 4, fn##f((float)x));              \
		TAKE(long double, 10, fn##l((long double)x)); \
	}                                                     \
	put(#fn);

static void arithmetic(int mode)
{
	fesetround(mode);
	for (int n = 0; n < 2000; n++) {
		volatile double a = argument(n % 50), b = argument((n * 7) % 50);
		volatile float fa = (float)a, fb = (float)b;
		volatile long double la = a, lb = b;

		TAKE(double, 8, a + b);
		TAKE(double, 8, a * b);
		TAKE(double, 8, a / b);
		TAKE(double, 8, fma(a, b, 1.5));
		TAKE(float, 4, fa - fb);
		TAKE(float, 4, fa * fb);
		TAKE(float, 4, fa / fb);
		TAKE(long double, 10, la + lb);
		TAKE(long double, 10, la * lb);
		TAKE(long double, 10, la / lb);
		TAKE(long double, 10, fmodl(la, lb));
		TAKE(double, 8, pow(fabs(a), 0.3));
		long r = lrint(fmod(a, 1e9));
		take(&r, sizeof(long) < 4 ? sizeof(long) : 4);
	}
	fesetround(FE_TONEAREST);
}

static void matrix(void)
{
	static double a[48][48], b[48][48], c[48][48];

	for (int i = 0; i < 48; i++)
		for (int j = 0; j < 48; j++) {
			a[i][j] = (double)(int32_t)next() / 65536;
			b[i][j] = (double)(int32_t)next() / 4096;
		}
	for (int i = 0; i < 48; i++)
		for (int j = 0; j < 48; j++)
			for (int k = 0; k < 48; k++)
				c[i][j] += a[i][k] * b[k][j];
	take(c, sizeof(c));
}

int main(void)
{
	LIST(RUN)
	arithmetic(FE_TONEAREST);
	put("nearest");
	arithmetic(FE_UPWARD);
	put("up");
	arithmetic(FE_DOWNWARD);
	put("down");
	arithmetic(FE_TOWARDZERO);
	put("zero");
	matrix();
	put("matrix");
	feclearexcept(FE_ALL_EXCEPT);
	volatile double z = 0, one = 1;
	volatile double q = one / z;
	printf("divide by zero flag %d, inexact %d, value %f\n", !!fetestexcept(FE_DIVBYZERO),
	       !!fetestexcept(FE_INEXACT), q);
	return 0;
}
