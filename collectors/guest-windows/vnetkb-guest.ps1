# SPDX-License-Identifier: Apache-2.0
#
# vnetkb-guest.ps1: what a Windows virtual machine itself knows about packets it received, lost and could not use.
#
# What it does
#   - reads counters of Windows (.NET, WMI) and runs netstat, netsh and chcp, twice, some seconds apart
#   - writes what they say into one text file (-Output DIR) or to standard output (-Output -)
# What it does not do
#   - change a setting, install or start anything, open a connection, read packets, files of users, passwords or keys
#   - write any other file; it needs no temporary file
#
# Windows PowerShell 2.0 or newer. Administrator's rights are not needed; without them the NetKVM classes are missing.
# -SelfCheck tells what works on this machine and collects nothing.
#
# The text: a line "VNETKB-CONTAINER 1 NAME"; for each file a line "@@ PATH" and one line of base64; "@@END".
# Only ASCII in this file, and only what PowerShell 2.0 knows.

param(
    [string]$Output,
    [int]$Interval,
    [switch]$SelfCheck,
    [switch]$List,
    [switch]$Quiet,
    [switch]$Help,
    [Parameter(ValueFromRemainingArguments = $true)] [string[]]$Rest
)

$Version = '0.1.0'
$FileBytes = 524288
$TotalBytes = 2097152
$CommandMs = 10000

$Usage = @'
usage: powershell -NoProfile -ExecutionPolicy Bypass -File vnetkb-guest.ps1 [options]

Collects inside a Windows guest, read-only, what its own counters say about lost packets. Two samples, one file.

  -Output DIR|-   where to write the file (default: the current folder); - writes its text to standard output
  -Interval S     seconds between the two samples, 1 to 3600 (default: 10)
  -List           print what is taken, why, why it is safe, what it reveals. Collects nothing
  -SelfCheck      print what of that works on this machine. Collects nothing
  -Quiet          no progress
  -Help

Exit status: 0 and the file's path on the last line; 1 nothing was written; 2 usage.
'@

# One line a file: id|when|needs|what|why|why it is safe|what it reveals. kb/captures/guest-windows.yaml agrees with it.
$Catalogue = @'
win-clock|snapshot|-|clock, tick count and time of the last boot|when the sample was taken, and whether the guest booted in between|plain reads|nothing
win-counters|snapshot|-|.NET interface and protocol statistics; WMI classes MSFT_NetAdapterStatisticsSettingData, Win32_PerfRawData_Tcpip_*, Win32_PerfRawData_PerfOS_Processor, NetKvm_*|every counter that does not depend on the language of Windows|reads counters that Windows keeps anyway|interface-name, mac-address
win-netstat-e|snapshot|netstat|netstat -e|the interface counters as administrators read them|prints counters|nothing
win-netstat-s|snapshot|netstat|netstat -s|what IP, UDP and TCP received and threw away|prints counters|nothing
win-netsh-subinterfaces|snapshot|netsh|netsh interface ipv4 show subinterfaces|MTU and traffic of every interface|prints state|interface-name
win-netsh-ipstats|snapshot|netsh|netsh interface ipv4 show ipstats|the IP counters once more|prints counters|nothing
win-netsh-udpstats|snapshot|netsh|netsh interface ipv4 show udpstats|the UDP counters once more|prints counters|nothing
win-os|once|-|version and language of Windows, code page, rights, last boot|how the other files are to be read|plain reads|nothing
win-adapters|once|-|WMI class Win32_NetworkAdapter: names, MAC address, state|which interface is which virtual NIC|plain reads|interface-name, mac-address
win-nic-registry|once|-|registry of the network adapters' drivers: version and the settings RxCapacity, TxCapacity and the like|how many receive buffers the driver may use|plain reads of named values|interface-name
win-netsh-tcp-global|once|netsh|netsh interface tcp show global|offloads of the whole system|prints settings|nothing
'@

$script:Parts = New-Object System.Text.StringBuilder
$script:Notes = New-Object System.Text.StringBuilder
$script:Written = 0
$script:Sample = '0'

function Show-Progress([string]$Text) {
    if (-not $Quiet -and -not $ToStdout) { [Console]::Error.WriteLine('vnetkb-guest: ' + $Text) }
}

function Stop-WithUsage([string]$Text) {
    [Console]::Error.WriteLine('vnetkb-guest: ' + $Text)
    exit 2
}

# ------------------------------------------------------------------------------------------------ JSON, in ASCII

function ConvertTo-JsonString([string]$Text) {
    $out = New-Object System.Text.StringBuilder
    [void]$out.Append('"')
    foreach ($char in $Text.ToCharArray()) {
        $code = [int]$char
        if ($code -eq 34) { [void]$out.Append('\"') }
        elseif ($code -eq 92) { [void]$out.Append('\\') }
        elseif ($code -lt 32 -or $code -gt 126) { [void]$out.Append('\u' + $code.ToString('x4')) }
        else { [void]$out.Append($char) }
    }
    [void]$out.Append('"')
    return $out.ToString()
}

function ConvertTo-JsonText($Value) {
    if ($null -eq $Value) { return 'null' }
    if ($Value -is [bool]) { if ($Value) { return 'true' } else { return 'false' } }
    if ($Value -is [System.Collections.IDictionary]) {
        $pairs = @()
        foreach ($key in ($Value.Keys | Sort-Object)) {
            $pairs += (ConvertTo-JsonString ([string]$key)) + ':' + (ConvertTo-JsonText $Value[$key])
        }
        return '{' + [string]::Join(',', [string[]]$pairs) + '}'
    }
    if ($Value -is [array] -or $Value -is [System.Collections.ArrayList]) {
        $items = @()
        foreach ($item in $Value) { $items += (ConvertTo-JsonText $item) }
        return '[' + [string]::Join(',', [string[]]$items) + ']'
    }
    if ($Value -is [byte] -or $Value -is [sbyte] -or $Value -is [int16] -or $Value -is [uint16] -or $Value -is [int] -or
        $Value -is [uint32] -or $Value -is [long] -or $Value -is [uint64]) {
        return $Value.ToString([System.Globalization.CultureInfo]::InvariantCulture)
    }
    return ConvertTo-JsonString ([string]$Value)
}

# ------------------------------------------------------------------------------------------------ files of the output

function Add-Note([string]$Text) { [void]$script:Notes.Append($Text + "`n") }

function Add-Part([string]$Id, [byte[]]$Bytes) {
    $path = $script:Sample + '/' + $Id
    if ($null -eq $Bytes -or $Bytes.Length -eq 0) { Add-Note ('absent=' + $path + ' empty'); return }
    if ($script:Written + $Bytes.Length -gt $TotalBytes) { Add-Note ('absent=' + $path + ' over the limit'); return }
    if ($Bytes.Length -gt $FileBytes) {
        $short = New-Object byte[] $FileBytes
        [Array]::Copy($Bytes, $short, $FileBytes)
        $Bytes = $short
        Add-Note ('cut=' + $path)
    }
    $script:Written += $Bytes.Length
    [void]$script:Parts.Append('@@ ' + $path + "`n" + [Convert]::ToBase64String($Bytes) + "`n")
}

function Add-Text([string]$Id, [string]$Text) { Add-Part $Id ([System.Text.Encoding]::UTF8.GetBytes($Text)) }

# A tool's own bytes, in whatever code page it writes.
function Invoke-Tool([string]$File, [string]$Arguments) {
    $info = New-Object System.Diagnostics.ProcessStartInfo
    $info.FileName = $File
    $info.Arguments = $Arguments
    $info.UseShellExecute = $false
    $info.RedirectStandardOutput = $true
    $info.CreateNoWindow = $true
    $process = [System.Diagnostics.Process]::Start($info)
    $stream = New-Object System.IO.MemoryStream
    $buffer = New-Object byte[] 65536
    $until = [DateTime]::UtcNow.AddMilliseconds($CommandMs)
    while ($true) {
        $reading = $process.StandardOutput.BaseStream.BeginRead($buffer, 0, $buffer.Length, $null, $null)
        $left = [int]($until - [DateTime]::UtcNow).TotalMilliseconds
        if ($left -lt 1 -or -not $reading.AsyncWaitHandle.WaitOne($left, $false)) {
            $process.Kill()
            throw ($File + ' took too long')
        }
        $count = $process.StandardOutput.BaseStream.EndRead($reading)
        if ($count -le 0) { break }
        $stream.Write($buffer, 0, $count)
        if ($stream.Length -gt $FileBytes) { $process.Kill(); break }
    }
    return , $stream.ToArray()
}

function Add-Tool([string]$Id, [string]$File, [string]$Arguments) {
    try { Add-Part $Id (Invoke-Tool $File $Arguments) }
    catch { Add-Note ('absent=' + $script:Sample + '/' + $Id + ' ' + (Get-OneLine $_)) }
}

function Get-OneLine($Problem) {
    $text = [string]$Problem
    $text = $text -replace '[^ -~]', '?'
    if ($text.Length -gt 200) { $text = $text.Substring(0, 200) }
    return $text
}

# ------------------------------------------------------------------------------------------------ counters

# Public readable properties of a .NET object, as they are; what cannot be read is left out.
function Get-Members($Object) {
    $found = @{}
    foreach ($property in $Object.GetType().GetProperties()) {
        try { $found[$property.Name] = $property.GetValue($Object, $null) } catch { }
    }
    return $found
}

function Get-Interfaces {
    $rows = New-Object System.Collections.ArrayList
    foreach ($nic in [System.Net.NetworkInformation.NetworkInterface]::GetAllNetworkInterfaces()) {
        $row = @{}
        $row['Id'] = $nic.Id
        $row['Name'] = $nic.Name
        $row['Description'] = $nic.Description
        $row['Type'] = [string]$nic.NetworkInterfaceType
        $row['Status'] = [string]$nic.OperationalStatus
        try { $row['Speed'] = $nic.Speed } catch { }
        try { $row['Mac'] = $nic.GetPhysicalAddress().ToString() } catch { }
        try { $row['IPv4Statistics'] = Get-Members ($nic.GetIPv4Statistics()) } catch { }
        [void]$rows.Add($row)
    }
    return , $rows
}

function Get-Protocols {
    $global = [System.Net.NetworkInformation.IPGlobalProperties]::GetIPGlobalProperties()
    $found = @{}
    try { $found['IPv4'] = Get-Members ($global.GetIPv4GlobalStatistics()) } catch { }
    try { $found['IPv6'] = Get-Members ($global.GetIPv6GlobalStatistics()) } catch { }
    try { $found['UdpIPv4'] = Get-Members ($global.GetUdpIPv4Statistics()) } catch { }
    try { $found['UdpIPv6'] = Get-Members ($global.GetUdpIPv6Statistics()) } catch { }
    try { $found['TcpIPv4'] = Get-Members ($global.GetTcpIPv4Statistics()) } catch { }
    try { $found['TcpIPv6'] = Get-Members ($global.GetTcpIPv6Statistics()) } catch { }
    try { $found['IcmpV4'] = Get-Members ($global.GetIcmpV4Statistics()) } catch { }
    return $found
}

function ConvertFrom-WmiValue($Value) {
    if ($null -eq $Value -or $Value -is [string] -or $Value -is [ValueType]) { return $Value }
    if ($Value -is [array]) {
        $items = New-Object System.Collections.ArrayList
        foreach ($item in $Value) { [void]$items.Add((ConvertFrom-WmiValue $item)) }
        return , $items
    }
    return ConvertFrom-WmiObject $Value
}

function ConvertFrom-WmiObject($Object) {
    $properties = $Object.Properties
    if ($null -ne $Object.CimInstanceProperties) { $properties = $Object.CimInstanceProperties }
    $row = @{}
    foreach ($property in $properties) {
        if (-not $property.Name.StartsWith('__')) { $row[$property.Name] = ConvertFrom-WmiValue $property.Value }
    }
    return $row
}

# All instances of a class; nothing where it does not exist or may not be read, and why.
function Get-Class([string]$Namespace, [string]$Class) {
    $rows = New-Object System.Collections.ArrayList
    if (Get-Command Get-WmiObject -ErrorAction SilentlyContinue) {
        $instances = @(Get-WmiObject -Namespace $Namespace -Class $Class -ErrorAction Stop)
    } else {
        $instances = @(Get-CimInstance -Namespace $Namespace -ClassName $Class -ErrorAction Stop)
    }
    foreach ($instance in $instances) { if ($null -ne $instance) { [void]$rows.Add((ConvertFrom-WmiObject $instance)) } }
    return , $rows
}

$Classes = @(
    @('root\StandardCimv2', 'MSFT_NetAdapterStatisticsSettingData'),
    @('root\cimv2', 'Win32_PerfRawData_Tcpip_NetworkInterface'),
    @('root\cimv2', 'Win32_PerfRawData_Tcpip_UDPv4'),
    @('root\cimv2', 'Win32_PerfRawData_Tcpip_TCPv4'),
    @('root\cimv2', 'Win32_PerfRawData_PerfOS_Processor'),
    @('root\wmi', 'NetKvm_Diag'),
    @('root\wmi', 'NetKvm_Config'),
    @('root\wmi', 'NetKvm_Statistics'),
    @('root\wmi', 'NetKvm_RssDiagnostics'),
    @('root\wmi', 'NetKvm_Standby')
)

function Get-Counters {
    $found = @{}
    $missing = @{}
    try { $found['Interfaces'] = Get-Interfaces } catch { $missing['Interfaces'] = Get-OneLine $_ }
    try { $found['Protocols'] = Get-Protocols } catch { $missing['Protocols'] = Get-OneLine $_ }
    $classes = @{}
    foreach ($pair in $Classes) {
        try { $classes[$pair[1]] = Get-Class $pair[0] $pair[1] } catch { $missing[$pair[1]] = Get-OneLine $_ }
    }
    $found['Classes'] = $classes
    $found['Missing'] = $missing
    return $found
}

function Get-LastBoot {
    try {
        $rows = Get-Class 'root\cimv2' 'Win32_OperatingSystem'
        return [string]$rows[0]['LastBootUpTime']
    } catch { return 'unknown' }
}

function Get-OperatingSystem {
    $found = @{}
    $found['PowerShell'] = [string]$PSVersionTable.PSVersion
    $found['LanguageMode'] = [string]$ExecutionContext.SessionState.LanguageMode
    $found['Version'] = [string][Environment]::OSVersion.Version
    $found['Bits'] = [IntPtr]::Size * 8
    $found['Culture'] = [string][System.Globalization.CultureInfo]::InstalledUICulture.Name
    $found['OemCodePage'] = [System.Globalization.CultureInfo]::InstalledUICulture.TextInfo.OEMCodePage
    $found['Processors'] = [Environment]::ProcessorCount
    try {
        $identity = [System.Security.Principal.WindowsIdentity]::GetCurrent()
        $principal = New-Object System.Security.Principal.WindowsPrincipal $identity
        $found['Administrator'] = $principal.IsInRole([System.Security.Principal.WindowsBuiltInRole]::Administrator)
    } catch { }
    try {
        $row = (Get-Class 'root\cimv2' 'Win32_OperatingSystem')[0]
        foreach ($name in 'Caption', 'BuildNumber', 'ServicePackMajorVersion', 'LastBootUpTime', 'FreePhysicalMemory') {
            $found[$name] = $row[$name]
        }
    } catch { }
    return $found
}

function Get-Adapters {
    $rows = New-Object System.Collections.ArrayList
    foreach ($row in (Get-Class 'root\cimv2' 'Win32_NetworkAdapter')) {
        if ($row['MACAddress']) {
            $kept = @{}
            foreach ($name in 'Name', 'NetConnectionID', 'MACAddress', 'GUID', 'Index', 'InterfaceIndex', 'ServiceName',
                'NetEnabled', 'NetConnectionStatus', 'PhysicalAdapter') { $kept[$name] = $row[$name] }
            [void]$rows.Add($kept)
        }
    }
    return , $rows
}

# The key of the network adapters' drivers; of each only values that are settings of the driver.
function Get-NicRegistry {
    $path = 'SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}'
    $wanted = '^(DriverDesc|DriverVersion|DriverDate|ProviderName|NetCfgInstanceId|RxCapacity|TxCapacity|MinRxBufferPercent|' +
        'NumberOfHandledRXPacketsInDPC|MergeableBuffers|SeparateRxTail|FastInit|\*.*|Init\..*|Offload\..*|PacketFiltering)$'
    $rows = New-Object System.Collections.ArrayList
    $class = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($path, $false)
    foreach ($name in $class.GetSubKeyNames()) {
        if ($name -match '^[0-9]+$') {
            try {
                $key = $class.OpenSubKey($name, $false)
                $row = @{ 'Key' = $name }
                foreach ($value in $key.GetValueNames()) {
                    if ($value -match $wanted) { $row[$value] = [string]$key.GetValue($value) }
                }
                [void]$rows.Add($row)
            } catch { }
        }
    }
    return , $rows
}

# ------------------------------------------------------------------------------------------------ what is taken

function Add-Json([string]$Id, [scriptblock]$Read) {
    try { Add-Text $Id (ConvertTo-JsonText (& $Read)) }
    catch { Add-Note ('absent=' + $script:Sample + '/' + $Id + ' ' + (Get-OneLine $_)) }
}

# The counters first: what follows may move them.
function Add-Sample([string]$Number) {
    $script:Sample = $Number
    $ticks = [Environment]::TickCount
    $clock = 'uptime_ms ' + $ticks + "`nwall " + [DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ') + "`nboot " +
        (Get-LastBoot) + "`n"
    Add-Text 'win-clock' $clock
    Add-Json 'win-counters' { Get-Counters }
    Add-Tool 'win-netstat-e' 'netstat.exe' '-e'
    Add-Tool 'win-netstat-s' 'netstat.exe' '-s'
    Add-Tool 'win-netsh-subinterfaces' 'netsh.exe' 'interface ipv4 show subinterfaces'
    Add-Tool 'win-netsh-ipstats' 'netsh.exe' 'interface ipv4 show ipstats'
    Add-Tool 'win-netsh-udpstats' 'netsh.exe' 'interface ipv4 show udpstats'
}

function Add-Once {
    Add-Json 'win-os' { Get-OperatingSystem }
    Add-Json 'win-adapters' { Get-Adapters }
    Add-Json 'win-nic-registry' { Get-NicRegistry }
    Add-Tool 'win-netsh-tcp-global' 'netsh.exe' 'interface tcp show global'
}

function Get-Container([string]$Name) {
    Add-Sample '0'
    Add-Once
    Show-Progress ('waiting ' + $Interval + ' s for the second sample')
    Start-Sleep -Seconds $Interval
    Add-Sample '1'
    $about = "collector=vnetkb-guest.ps1`nversion=" + $Version + "`nsystem=windows`nhost=" + [Environment]::MachineName +
        "`nkernel=" + [Environment]::OSVersion.Version + "`nmachine=" + $env:PROCESSOR_ARCHITECTURE + "`ninterval=" +
        $Interval + "`n" + $script:Notes.ToString()
    $bytes = [System.Text.Encoding]::UTF8.GetBytes($about)
    return 'VNETKB-CONTAINER 1 ' + $Name + "`n" + $script:Parts.ToString() + "@@ manifest.kv`n" +
        [Convert]::ToBase64String($bytes) + "`n@@END`n"
}

function Write-Container([string]$Folder) {
    $name = [Environment]::MachineName -replace '[^A-Za-z0-9._-]', '_'
    $name = 'vnetkb-guest-' + $name + '-' + [DateTime]::UtcNow.ToString('yyyyMMddTHHmmssZ')
    if ($ToStdout) {
        $bytes = [System.Text.Encoding]::ASCII.GetBytes((Get-Container $name))
        $stdout = [Console]::OpenStandardOutput()
        $stdout.Write($bytes, 0, $bytes.Length)
        $stdout.Flush()
        return
    }
    $final = [System.IO.Path]::Combine([System.IO.Path]::GetFullPath($Folder), $name + '.txt.gz')
    # CreateNew fails where a file of that name is there already.
    $file = New-Object System.IO.FileStream $final, ([System.IO.FileMode]::CreateNew)
    $whole = $false
    try {
        $bytes = [System.Text.Encoding]::ASCII.GetBytes((Get-Container $name))
        $zip = New-Object System.IO.Compression.GZipStream $file, ([System.IO.Compression.CompressionMode]::Compress)
        $zip.Write($bytes, 0, $bytes.Length)
        $zip.Close()
        $whole = $true
    } finally {
        $file.Close()
        if (-not $whole) { [System.IO.File]::Delete($final) }
    }
    Show-Progress 'it holds text only; give it to whoever asked for it'
    [Console]::Out.WriteLine($final)
}

# ------------------------------------------------------------------------------------------------ self-check

function Test-One([string]$What, [scriptblock]$Read) {
    try {
        $found = & $Read
        if ($null -eq $found -or $found.Count -eq 0) { [Console]::Out.WriteLine('empty    ' + $What) }
        else { [Console]::Out.WriteLine('ok       ' + $What) }
    } catch { [Console]::Out.WriteLine('missing  ' + $What + ': ' + (Get-OneLine $_)) }
}

function Show-SelfCheck {
    [Console]::Out.WriteLine('vnetkb-guest.ps1 ' + $Version)
    Test-One 'operating system' { $os = Get-OperatingSystem; [Console]::Out.WriteLine((ConvertTo-JsonText $os)); $os }
    Test-One '.NET interface statistics' { Get-Interfaces }
    Test-One '.NET protocol statistics' { Get-Protocols }
    foreach ($pair in $Classes) {
        $namespace = $pair[0]
        $class = $pair[1]
        Test-One ('WMI ' + $class) { Get-Class $namespace $class }
    }
    Test-One 'network adapters' { Get-Adapters }
    Test-One 'registry of network adapters' { Get-NicRegistry }
    Test-One 'netstat -e' { Invoke-Tool 'netstat.exe' '-e' }
    Test-One 'netstat -s' { Invoke-Tool 'netstat.exe' '-s' }
    Test-One 'netsh' { Invoke-Tool 'netsh.exe' 'interface ipv4 show subinterfaces' }
    [Console]::Out.WriteLine('Please send this text along with the first file from a new version of Windows.')
}

function Show-List {
    foreach ($line in ($Catalogue -split "`n")) {
        $field = $line.Trim().Split('|')
        if ($field.Length -eq 7) {
            [Console]::Out.WriteLine($field[0])
            $names = 'when', 'needs', 'what', 'why', 'safe', 'reveals'
            for ($i = 0; $i -lt 6; $i++) { [Console]::Out.WriteLine('  ' + $names[$i].PadRight(8) + ' ' + $field[$i + 1]) }
            [Console]::Out.WriteLine('')
        }
    }
}

# ------------------------------------------------------------------------------------------------ main

# The guest agent sends this text through standard input, where options come as environment variables.
if (-not $Output) { $Output = $env:VNETKB_OUTPUT }
if (-not $Interval -and $env:VNETKB_INTERVAL) { $Interval = [int]$env:VNETKB_INTERVAL }
if (-not $Output) { $Output = '.' }
if (-not $Interval) { $Interval = 10 }
foreach ($word in @($Rest)) {
    if ($word -eq '--self-check') { $SelfCheck = $true }
    elseif ($word -eq '--list') { $List = $true }
    elseif ($word -eq '--help') { $Help = $true }
    elseif ($word) { Stop-WithUsage ('unknown option or argument ' + $word) }
}
if ($Interval -lt 1 -or $Interval -gt 3600) { Stop-WithUsage '-Interval takes whole seconds from 1 to 3600' }
$ToStdout = $Output -eq '-'

if ($Help) { [Console]::Out.WriteLine($Usage); exit 0 }
if ($List) { Show-List; exit 0 }
if ($SelfCheck) { Show-SelfCheck; exit 0 }
try { Write-Container $Output }
catch {
    [Console]::Error.WriteLine('vnetkb-guest: ' + (Get-OneLine $_) + '; nothing was written')
    exit 1
}
exit 0
