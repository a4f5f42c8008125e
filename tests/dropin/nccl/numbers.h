/* Elements of all of NCCL's types as doubles, for small numbers that all of them hold exactly. */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <math.h>
#include <nccl.h>
#include <stdint.h>
#include <string.h>

static const size_t kSizes[ncclNumTypes] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};

static int is_unsigned(int type) { return type == ncclUint8 || type == ncclUint32 || type == ncclUint64; }

struct bits {
  int exponent, mantissa;
};
static struct bits bits_of(int type) {
  switch (type) {
    case ncclFloat16:
      return (struct bits){5, 10};
    case ncclBfloat16:
      return (struct bits){8, 7};
    case ncclFloat8e4m3:
      return (struct bits){4, 3};
    default:
      return (struct bits){5, 2};
  }
}

/* Normal numbers and zero. */
static uint32_t encode(double value, int type) {
  const struct bits b = bits_of(type);
  if (value == 0) return 0;
  int e = 0;
  const double m = frexp(fabs(value), &e); /* in [0.5, 1) */
  const uint32_t fraction = (uint32_t)((2 * m - 1) * (1 << b.mantissa));
  const uint32_t biased = (uint32_t)(e - 1 + (1 << (b.exponent - 1)) - 1);
  return (value < 0 ? 1U << (b.exponent + b.mantissa) : 0) | biased << b.mantissa | fraction;
}
static double decode(uint32_t code, int type) {
  const struct bits b = bits_of(type);
  const int e = (int)(code >> b.mantissa) & ((1 << b.exponent) - 1);
  const int m = (int)(code & ((1U << b.mantissa) - 1));
  const int bias = (1 << (b.exponent - 1)) - 1;
  const double value = e == 0 ? ldexp(m, 1 - bias - b.mantissa) : ldexp(m + (1 << b.mantissa), e - bias - b.mantissa);
  return code >> (b.exponent + b.mantissa) & 1 ? -value : value;
}

static inline void put(void* to, size_t at, int type, double value) {
  char* p = (char*)to + at * kSizes[type];
  int64_t whole = (int64_t)value;
  float f = (float)value;
  uint32_t code = 0;
  switch (type) {
    case ncclFloat32:
      memcpy(p, &f, sizeof f);
      return;
    case ncclFloat64:
      memcpy(p, &value, sizeof value);
      return;
    case ncclFloat16:
    case ncclBfloat16:
    case ncclFloat8e4m3:
    case ncclFloat8e5m2:
      code = encode(value, type);
      memcpy(p, &code, kSizes[type]);
      return;
    default:
      memcpy(p, &whole, kSizes[type]); /* little-endian */
  }
}

static inline double get(const void* from, size_t at, int type) {
  const char* p = (const char*)from + at * kSizes[type];
  float f = 0;
  double d = 0;
  uint32_t code = 0;
  uint64_t whole = 0;
  switch (type) {
    case ncclFloat32:
      memcpy(&f, p, sizeof f);
      return f;
    case ncclFloat64:
      memcpy(&d, p, sizeof d);
      return d;
    case ncclFloat16:
    case ncclBfloat16:
    case ncclFloat8e4m3:
    case ncclFloat8e5m2:
      memcpy(&code, p, kSizes[type]);
      return decode(code, type);
    default:
      memcpy(&whole, p, kSizes[type]);
      if (!is_unsigned(type) && kSizes[type] < 8 && whole >> (8 * kSizes[type] - 1))
        return (double)(int64_t)(whole - (1ULL << (8 * kSizes[type])));
      return is_unsigned(type) ? (double)whole : (double)(int64_t)whole;
  }
}

#endif
