/* SPDX-License-Identifier: MIT */
/*
 * Makes processes by system calls of its own, each in a way that compilers and people write it; and system calls
 * that only look like it. None is ever executed: `spork scan` reads them.
 */
#if defined(__x86_64__)
__asm__(".text\n.type plain, @function\nplain:\n\tmov $57, %eax\n\tsyscall\n\tret\n.size plain, .-plain\n"
	/* The arguments may come after the number. */
	".type far, @function\nfar:\n\tmov $56, %eax\n\tmov $17, %edi\n\txor %esi, %esi\n\tlea 8(%rsp), %rdx\n"
	"\tmov %rsi, %r10\n\tcmp $3, %rax\n\tje 1f\n1:\tsyscall\n\tret\n.size far, .-far\n"
	".type small, @function\nsmall:\n\tpush $58\n\tpop %rax\n\tsyscall\n\tret\n.size small, .-small\n"
	".type wide, @function\nwide:\n\tmov $435, %rax\n\tsyscall\n\tret\n.size wide, .-wide\n"
	".type replaced, @function\nreplaced:\n\tmov $57, %eax\n\tmov $39, %eax\n\tsyscall\n"
	/* The first call leaves its result there. */
	"\tmov $57, %r8d\n\tsyscall\n\tret\n.size replaced, .-replaced\n"
	".type computed, @function\ncomputed:\n\tmov $57, %eax\n\tadd %edi, %eax\n\tsyscall\n"
	"\tmov $57, %eax\n\tmov %rdi, %rax\n\tsyscall\n\tret\n.size computed, .-computed\n"
	".type apart, @function\napart:\n\tmov $57, %eax\n\tret\n\tsyscall\n\tret\n.size apart, .-apart\n"
	".type within, @function\nwithin:\n\tmov $57, %eax\n\tmov $0x050f, %ecx\n\tret\n.size within, .-within\n");
#elif defined(__aarch64__)
__asm__(".text\n.type plain, %function\nplain:\n\tmov x8, #220\n\tsvc #0\n\tret\n.size plain, .-plain\n"
	".type far, %function\nfar:\n\tmov w8, #220\n\tmov x0, #17\n\tmov x1, xzr\n\tsvc #0\n\tret\n"
	".size far, .-far\n"
	".type replaced, %function\nreplaced:\n\tmov x8, #220\n\tmov x8, #172\n\tsvc #0\n\tret\n"
	".size replaced, .-replaced\n"
	".type computed, %function\ncomputed:\n\tmov x8, #220\n\tadd x8, x8, x0\n\tsvc #0\n\tret\n"
	".size computed, .-computed\n"
	".type apart, %function\napart:\n\tmov x8, #220\n\tret\n\tsvc #0\n\tret\n.size apart, .-apart\n");
#endif

int main(void)
{
	return 0;
}
