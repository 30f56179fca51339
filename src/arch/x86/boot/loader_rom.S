/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An option ROM that a BIOS finds as a boot device: it starts the Linux kernel that the machine was given. The pieces
 * come by fw_cfg's DMA, which takes physical addresses, so that the processor stays in real mode; where they belong is
 * in the table at the end, filled by the machine. Then the kernel's own setup code is entered as boot.rst, "1.5 Loading
 * the rest of the kernel", wants it: all data segments at the setup code, the stack above its heap.
 *
 * Expansion header: PCI Firmware Specification 3.2, 5.1.2; the $PnP structure: BIOS Boot Specification 1.01, 3.4.
 */
	.set SETUP_SEG, 0x1000
	.set STACK, 0xfff0
	.set COMMAND_SEG, 0x07c0	/* where a boot sector would lie */
	.set FW_CFG_DMA, 0x514
	.set PIECES, 4

	.section .rodata
	.code16
	.balign 16
	.globl boot_loader_rom, boot_loader_rom_table, boot_loader_rom_end
boot_loader_rom:
	.byte 0x55, 0xaa
	.byte (boot_loader_rom_end - boot_loader_rom) / 512
	lret
	.org boot_loader_rom + 0x1a
	.word pnp - boot_loader_rom
	.org boot_loader_rom + 0x20
pnp:
	.ascii "$PnP"
	.byte 1, 2
	.word 0				/* no further header */
	.byte 0, 0			/* the machine fills in the sum */
	.long 0
	.word 0
	.word name - boot_loader_rom
	.byte 0, 0, 0x80		/* class */
	.byte 0xe4			/* a boot device that wants no shadow write */
	.word 0, 0
	.word start - boot_loader_rom	/* bootstrap entry vector */
	.word 0, 0
name:
	.asciz "Linux kernel"

start:
	cli
	cld
	pushw	%cs
	popw	%ds
	movw	$COMMAND_SEG, %ax
	movw	%ax, %es
	movw	$(boot_loader_rom_table - boot_loader_rom), %si
	movw	$PIECES, %bp
1:	xorw	%di, %di
	movw	$8, %cx
	rep movsw
	xorl	%eax, %eax
	movw	$FW_CFG_DMA, %dx
	outl	%eax, %dx
	movl	$((COMMAND_SEG << 4 & 0xff) << 24 | (COMMAND_SEG << 4 & 0xff00) << 8), %eax
	addw	$4, %dx
	outl	%eax, %dx
	cmpl	$0, %es:0
	jne	fail
	decw	%bp
	jnz	1b
	movw	$SETUP_SEG, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movw	$STACK, %sp
	ljmpw	$(SETUP_SEG + 0x20), $0
fail:
	movw	$(text - boot_loader_rom), %si
2:	lodsb
	testb	%al, %al
	jz	3f
	movb	$0x0e, %ah
	movw	$7, %bx
	int	$0x10
	jmp	2b
3:	sti
	int	$0x18			/* the next boot device, please */
	jmp	3b
text:
	.asciz "The kernel could not be loaded into memory.\r\n"

	.balign 16
boot_loader_rom_table:
	.skip 16 * PIECES
	.org boot_loader_rom + 512
boot_loader_rom_end:
	.section .note.GNU-stack, "", %progbits
