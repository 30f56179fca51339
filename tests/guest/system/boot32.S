/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PVH entry of the 32-bit guest; exception entries; catching calls; code that runs in other modes. */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long pvh_start

	.section .text.boot, "ax"
	.code32
	.globl pvh_start
pvh_start:
	cld
	movl $stack_top, %esp
	lgdt boot_gdtr
	ljmp $8, $1f
1:	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	call main
2:	hlt
	jmp 2b

	.data
	.balign 8
boot_gdt:
	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
	.word 23
	.long boot_gdt

	.text
	.globl vectors
	.balign 16
vectors:
	.set v, 0
	.rept 256
	.balign 16
	.if !((v == 8) || ((v >= 10) && (v <= 14)) || (v == 17) || (v == 21))
	push $-1
	.endif
	push $v
	jmp common
	.set v, v + 1
	.endr
	/* struct frame: gs fs es ds, edi .. eax, vector, code, eip, cs, eflags, then esp, ss and V86 segments if pushed */
common:
	pushal
	push %ds
	push %es
	push %fs
	push %gs
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	cld
	movl %esp, %eax
	push %eax
	call exception
	.globl resume
resume:
	movl %eax, %esp
	pop %gs
	pop %fs
	pop %es
	pop %ds
	popal
	addl $8, %esp
	iretl

	.macro SAVE
	push %ebx
	push %ebp
	push %esi
	push %edi
	movl %esp, catch_esp
	movb $1, catching
	.endm
	/* catch_call(fn, arg) */
	.globl catch_call, catch_escape, enter_frame
catch_call:
	movl 4(%esp), %eax
	movl 8(%esp), %ecx
	SAVE
	push %ecx
	call *%eax
	addl $4, %esp
catch_escape:
	movb $0, catching
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl catch_esp, %esp
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	ret
	/* enter_frame(words, count): pushes the words, first at the lowest address, and does IRET */
enter_frame:
	movl 4(%esp), %edx
	movl 8(%esp), %ecx
	SAVE
1:	pushl -4(%edx,%ecx,4)
	decl %ecx
	jnz 1b
	movl $0, %eax
	iretl

	/* ---- real mode: copied to 0x8000; comes with ESP saved, goes back through protected mode ---- */
	.globl real_blob, real_blob_end, real_trip, long_trip
real_trip:
	push %ebx
	push %ebp
	push %esi
	push %edi
	movl %esp, trip_esp
	sidt trip_idtr
	ljmp $0x18, $0x8000		/* 16-bit code, base 0 */
real_back:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl trip_esp, %esp
	lidt trip_idtr
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	ret

	.code16
	.set R, 0x8000
real_blob:
	movw $0x20, %ax			/* 16-bit data: limit 64 KiB for what follows */
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $0, $(1f - real_blob + R)
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0x7000, %sp
	lidtl (real_idtr - real_blob + R)
	/* the vector table: 0x21, 0x22 and #GP, #DE */
	movw $(real_int - real_blob + R), 0x84
	movw %ax, 0x86
	movw $(real_gp - real_blob + R), 0x34
	movw %ax, 0x36
	movw $(real_de - real_blob + R), 0
	movw %ax, 2
	movw $0x9000, %bx		/* results at 0x9000 */
	movw $0x1234, %ax
	movw %ax, %es
	movw %es, (%bx)			/* 0: selector */
	movw $0x900, %ax
	movw %ax, %es
	movw $0x5678, %es:2		/* 2: through a base of 0x9000 */
	pushw $0x4321
	popw 4(%bx)			/* 4 */
	sti
	stc
	int $0x21			/* handler: 6 flags, 8 cs, 10 depth */
	cli
	movw %sp, 12(%bx)		/* 12: balanced */
	movw $0xffff, %si
	movw (%si), %cx			/* word at 0xffff: #GP, handler skips it */
	movw $0, %cx
	divw %cx			/* #DE, handler skips it */
	smsww %ax
	movw %ax, 18(%bx)		/* 18: PE clear */
	movl %cr0, %eax
	movl $0x12345678, %esp
	movw $0x7000, %sp
	pushw %ax
	movl %esp, 20(%bx)		/* 20: upper half of ESP stays */
	popw %ax
	lcallw $0x800, $(real_far - real_blob)
	movw %cs, 26(%bx)		/* 26: cs after return */
	pushfw
	popw 28(%bx)			/* 28 */
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $real_back
real_far:
	movw %cs, 24(%bx)		/* 24: cs in the callee */
	lretw
real_int:
	pushfw
	popw 6(%bx)
	movw %cs, 8(%bx)
	movw %sp, 10(%bx)
	iretw
real_gp:
	movw $0x99, 14(%bx)		/* 14: came here */
	addw $2, %ss:0x6ffa		/* IP past the two bytes of the instruction */
	iretw
real_de:
	movw $0x77, 16(%bx)		/* 16 */
	addw $2, %ss:0x6ffa
	iretw
	.balign 4
real_idtr:
	.word 0x3ff
	.long 0
real_blob_end:

	/* ---- long mode and back ---- */
	.code32
long_trip:				/* long_trip(pml4): EDX:EAX is what 64-bit code computed */
	movl 4(%esp), %ecx
	push %ebx
	push %esi
	push %edi
	push %ebp
	movl %cr4, %eax
	orl $0x20, %eax
	movl %eax, %cr4
	movl %ecx, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	rdmsr
	movl %eax, long_efer		/* LMA is on, the code is still 32-bit */
	ljmp $0x28, $long_code
	.code64
long_code:
	mov $0x1122334455667788, %rax
	mov $0x1000000000000000, %r15
	add %r15, %rax
	mov %rax, long_result(%rip)
	push %rax
	pop long_result + 8(%rip)
	ljmp *long_exit(%rip)
	.data
long_exit:
	.long long_back
	.word 8
	.text
	.code32
long_back:
	movl %cr0, %eax
	andl $0x7fffffff, %eax
	movl %eax, %cr0
	movl $0xc0000080, %ecx
	rdmsr
	movl %eax, long_efer + 4	/* LMA is off again */
	andl $0xfffffeff, %eax
	wrmsr
	movl %cr4, %eax
	andl $0xffffffdf, %eax
	movl %eax, %cr4
	pop %ebp
	pop %edi
	pop %esi
	pop %ebx
	ret

	.bss
	.balign 4096
	.skip 16384
stack_top:
	.globl catch_esp, catching, long_result, long_efer
	.balign 8
long_result: .skip 16
long_efer: .skip 8
catch_esp: .long 0
trip_esp: .long 0
trip_idtr: .skip 8
catching: .byte 0
