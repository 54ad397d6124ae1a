@echo off
rem SPDX-License-Identifier: Apache-2.0
rem
rem vnetkb-guest.cmd: starts vnetkb-guest.ps1, and where PowerShell or scripts are forbidden takes what plain tools print.
rem It only reads, installs nothing, and writes one text file. Lines of the file are described in vnetkb-guest.ps1.
rem
rem usage: vnetkb-guest.cmd [--output DIR] [--interval S] [--plain] [--self-check]

setlocal EnableExtensions DisableDelayedExpansion
set "DIR=."
set "SECONDS=10"
set "PLAIN="
set "CHECK="

:options
if "%~1"=="" goto checked
if /i "%~1"=="--output" goto option_output
if /i "%~1"=="--interval" goto option_interval
if /i "%~1"=="--plain" set "PLAIN=1"& shift & goto options
if /i "%~1"=="--self-check" set "CHECK=1"& shift & goto options
echo vnetkb-guest: unknown option %1 1>&2
echo usage: vnetkb-guest.cmd [--output DIR] [--interval S] [--plain] [--self-check] 1>&2
exit /b 2
:option_output
set "DIR=%~2"
shift
shift
goto options
:option_interval
set "SECONDS=%~2"
shift
shift
goto options

:checked
for /f "delims=0123456789" %%A in ("%SECONDS%") do (
  echo vnetkb-guest: --interval takes whole seconds 1>&2
  exit /b 2
)
if not exist "%DIR%\" (
  echo vnetkb-guest: %DIR% is no folder; nothing was written 1>&2
  exit /b 1
)
if defined PLAIN goto plain
if defined CHECK (
  powershell -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "%~dp0vnetkb-guest.ps1" -SelfCheck
  goto check_plain
)
rem Only the file that it names says that it worked: where scripts are forbidden it may say nothing and end well.
set "MADE="
for /f "delims=" %%L in ('powershell -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "%~dp0vnetkb-guest.ps1" -Output "%DIR%" -Interval %SECONDS%') do set "MADE=%%L"
if not defined MADE goto without
if not exist "%MADE%" goto without
echo %MADE%
exit /b 0
:without
echo vnetkb-guest: PowerShell did not work; taking what plain tools print 1>&2

:plain
if defined CHECK goto check_plain
set "NAME=vnetkb-guest-%COMPUTERNAME%-%RANDOM%%RANDOM%"
set "OUT=%DIR%\%NAME%.txt"
if exist "%OUT%" (
  echo vnetkb-guest: %OUT% exists; nothing was written 1>&2
  exit /b 1
)
>"%OUT%" echo VNETKB-CONTAINER 1 %NAME%
if errorlevel 1 exit /b 1
call :sample 0
call :part 0/win-chcp "chcp"
call :part 0/win-getmac "getmac /v /fo csv"
call :part 0/win-netsh-tcp-global "netsh interface tcp show global"
call :part 0/win-reg-nics "reg query HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318} /s /f RxCapacity /v"
rem timeout needs a console; ping does not, but moves counters of the loopback.
timeout /t %SECONDS% /nobreak >nul 2>nul
if errorlevel 1 ping -n %SECONDS% 127.0.0.1 >nul
call :sample 1
>>"%OUT%" echo @@ manifest.kv
>>"%OUT%" echo ^|collector=vnetkb-guest.cmd
>>"%OUT%" echo ^|version=0.1.0
>>"%OUT%" echo ^|system=windows
>>"%OUT%" echo ^|host=%COMPUTERNAME%
>>"%OUT%" echo ^|machine=%PROCESSOR_ARCHITECTURE%
>>"%OUT%" echo ^|interval=%SECONDS%
>>"%OUT%" echo @@END
echo %OUT%
exit /b 0

:check_plain
for %%T in (netstat netsh getmac reg chcp timeout ping) do call :tool %%T
exit /b 0

:tool
where %1 >nul 2>nul
if errorlevel 1 goto tool_missing
echo ok       %1
exit /b 0
:tool_missing
echo missing  %1
exit /b 0

:sample
call :part %1/win-netstat-e "netstat -e"
call :part %1/win-netstat-s "netstat -s"
call :part %1/win-netsh-subinterfaces "netsh interface ipv4 show subinterfaces"
call :part %1/win-netsh-ipstats "netsh interface ipv4 show ipstats"
call :part %1/win-netsh-udpstats "netsh interface ipv4 show udpstats"
exit /b 0

:part
>>"%OUT%" echo @@ %1
for /f "delims=" %%L in ('%~2 2^>nul') do >>"%OUT%" echo ^|%%L
exit /b 0
